"""Our words for what is known of a person and for what a person does: names, kinds, meaning. Data only, no
decisions.

`docs/reference/fields.md` lists the same names; a test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OurField:
    """A field of ours. `kind` is text, number, boolean or datetime (aware, UTC).

    `transform` reads a vendor value where a mapping names none. `derived` is filled from other fields when
    the mapping brings nothing better.
    """

    name: str
    kind: str
    what: str
    transform: str
    derived: bool = False


KIND_TRANSFORMS: Mapping[str, str] = {
    "text": "text",
    "number": "number",
    "boolean": "boolean",
    "datetime": "datetime",
}


def _table(*rows: OurField) -> Mapping[str, OurField]:
    return {row.name: row for row in rows}


PERSON_FIELDS: Mapping[str, OurField] = _table(
    OurField("email", "text", "The main address: trimmed, lower-cased, IDNA domain.", "email"),
    OurField("email_domain", "text", "The part of the address after the at sign.", "domain", derived=True),
    OurField(
        "email_kind",
        "text",
        "business, free, disposable, role or none (no usable address).",
        "lower",
        derived=True,
    ),
    OurField("first_name", "text", "Given name.", "text"),
    OurField("last_name", "text", "Family name.", "text"),
    OurField("phone", "text", "Telephone number in E.164, as in +4930123456.", "phone"),
    OurField("title", "text", "Job title as the person or a colleague wrote it.", "text"),
    OurField(
        "seniority",
        "text",
        "c_level, owner, partner, vp, director, manager, senior, staff, entry or student.",
        "seniority",
        derived=True,
    ),
    OurField(
        "job_function",
        "text",
        "sales, marketing, finance, it, engineering, ... read from the title.",
        "job_function",
        derived=True,
    ),
    OurField("country", "text", "ISO 3166 alpha-2, as in DE.", "country"),
    OurField("city", "text", "City.", "text"),
    OurField("language", "text", "ISO 639 language code, as in de.", "language"),
    OurField("source", "text", "Where the person first came from, in the CRM's words.", "text"),
    OurField("channel", "text", "The marketing channel of that first contact.", "text"),
    OurField("campaign", "text", "The campaign of that first contact.", "text"),
    OurField("keyword", "text", "The search word of that first contact.", "text"),
    OurField("persona", "text", "The buyer persona somebody assigned, else the one by rule.", "text"),
    OurField("budget", "text", "What is known of the budget.", "text"),
    OurField("authority", "text", "What is known of the authority to buy.", "text"),
    OurField("sentiment", "text", "How the person feels about us, as sales noted it.", "text"),
    OurField("plan_type", "text", "The plan or product edition in use.", "text"),
    OurField("company_name", "text", "The company's name.", "text"),
    OurField(
        "company_domain",
        "text",
        "The company's domain: mapped, else from the website, else from a business address.",
        "domain",
        derived=True,
    ),
    OurField("company_size", "number", "Number of employees; of a range its lower end.", "employees"),
    OurField("industry", "text", "The company's industry, in the CRM's words.", "text"),
    OurField("annual_revenue", "number", "The company's yearly revenue, in its currency.", "money"),
    OurField("annual_revenue_currency", "text", "ISO 4217 code of annual_revenue.", "text", derived=True),
    OurField("website", "text", "The company's website.", "text"),
    OurField(
        "email_opt_out", "boolean", "True when the person asked not to be mailed, in any CRM.", "boolean"
    ),
    OurField(
        "phone_opt_out", "boolean", "True when the person asked not to be called, in any CRM.", "boolean"
    ),
    OurField(
        "spam_signs",
        "text",
        "What in the person's own words looks like form spam, as in `a link in the name`.",
        "spam_signs",
        derived=True,
    ),
    OurField("owner", "text", "Who looks after the person: the CRM's own user id or name.", "text"),
    OurField("created_at", "datetime", "When the first record of the person was created.", "datetime"),
    OurField("account.is_customer", "boolean", "The account, or a parent of it, has bought.", "boolean"),
    OurField("account.is_partner", "boolean", "The account, or a parent of it, is a partner.", "boolean"),
    OurField("account.open_opportunity", "boolean", "A deal of the account is open.", "boolean"),
    OurField(
        "account.lost_at", "datetime", "When the newest lost deal of the account was closed.", "datetime"
    ),
    OurField("account.tier", "text", "How the account is ranked, in the CRM's words.", "text"),
    OurField("account.owner", "text", "Who looks after the account: the CRM's own user id or name.", "text"),
    OurField("account.parent", "text", "The id of the account's parent in its CRM.", "text"),
    OurField(
        "account.people_engaged_30d",
        "number",
        "People of the account who did something that counts in the last 30 days.",
        "number",
        derived=True,
    ),
    OurField(
        "account.mqls", "number", "Other people of the account who are MQL now.", "number", derived=True
    ),
)

ACCOUNT = "account."
"""What the names of the fields begin with that are facts of the account around a person."""

ACCOUNT_FIELDS: frozenset[str] = frozenset(
    name for name, known in PERSON_FIELDS.items() if name.startswith(ACCOUNT) and not known.derived
)
"""What a company's mapping may say of the account itself, beside what its deals say."""

COMPANY_FIELDS: frozenset[str] = frozenset(
    {
        "company_name",
        "company_domain",
        "company_size",
        "industry",
        "annual_revenue",
        "annual_revenue_currency",
        "website",
        "country",
        "city",
    }
)
"""What a person may inherit from the company record; admins' `extra_fields` may be inherited too."""

OPPORTUNITY_FIELDS: Mapping[str, OurField] = _table(
    OurField("is_closed", "boolean", "True when it is decided.", "boolean"),
    OurField("is_won", "boolean", "True when it was won.", "boolean"),
    OurField("amount", "number", "What it is worth, in its currency.", "money"),
    OurField("closed_at", "datetime", "When it was decided, or is to be.", "datetime"),
)
"""What an opportunity's mapping may fill."""

EVENT_FIELDS: Mapping[str, str] = {
    "name": "Name of the form, campaign, content, meeting or e-mail.",
    "url": "The page, or the link that was clicked.",
    "campaign": "The campaign it belongs to.",
    "channel": "The channel it came through.",
    "status": "The status the CRM gives it, as in Attended or COMPLETED.",
    "value": "A number: seconds of a call, money of a cart.",
}
"""Fields of an engagement beside its type and time; anything else goes to `attributes.<key>`."""

ENGAGEMENT_TYPES: Mapping[str, str] = {
    "page_view": "Looked at a page of our site.",
    "content_download": "Downloaded a paper, guide, template or recording.",
    "pricing_download": "Downloaded a price list.",
    "app_download": "Downloaded the application.",
    "form_submission": "Sent a form that means nothing more special.",
    "newsletter_subscription": "Subscribed to a newsletter or blog.",
    "email_open": "Opened an e-mail.",
    "email_click": "Clicked a link in an e-mail.",
    "email_reply": "Answered an e-mail.",
    "email_unsubscribe": "Unsubscribed, or reported the e-mail as spam.",
    "email_bounce": "The e-mail came back.",
    "webinar_registration": "Registered for a webinar.",
    "webinar_attendance": "Attended a webinar.",
    "event_attendance": "Attended an event, fair or conference.",
    "trial_signup": "Started a trial.",
    "demo_signup": "Signed up for a demo account or a recorded demo.",
    "demo_request": "Asked for a live demo.",
    "contact_request": "Asked to be contacted.",
    "help_request": "Asked for help or support.",
    "price_question": "Asked for a price or a quote.",
    "call_request": "Asked to be called.",
    "meeting_booked": "Booked or held a meeting.",
    "sales_material_request": "Asked for sales material.",
    "purchase_intent": "Showed the intent to buy, as a started checkout or a third party's signal.",
    "call": "Was spoken to by telephone.",
    "favorite_added": "Marked something as a favourite.",
    "cart_added": "Put something into a cart.",
    "docs_viewed": "Read the documentation.",
    "ad_click": "Clicked an advertisement.",
    "social_engagement": "Liked, shared, commented or followed.",
    "subscription_change": "Changed what mail to receive, or a plan.",
    "product_use": "Used the product.",
    "other": "Anything else, kept but seldom counted.",
}

SENIORITIES: tuple[str, ...] = (
    "c_level",
    "owner",
    "partner",
    "vp",
    "director",
    "manager",
    "senior",
    "staff",
    "entry",
    "student",
)
"""Highest first: of several in one title the highest holds."""

JOB_FUNCTIONS: tuple[str, ...] = (
    "sales",
    "marketing",
    "finance",
    "it",
    "engineering",
    "data",
    "product",
    "design",
    "research",
    "operations",
    "supply_chain",
    "procurement",
    "quality",
    "project_management",
    "human_resources",
    "legal",
    "customer_service",
    "consulting",
    "education",
    "healthcare",
    "administration",
    "general_management",
)

EMAIL_KINDS: tuple[str, ...] = ("business", "free", "disposable", "role", "none")
