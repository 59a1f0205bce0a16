"""What a made-up org's objects look like: fields, types, lengths, picklists, and their describe documents.

Pure data and its JSON; holds no rows and judges no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

Json = Any

API_VERSIONS = tuple(range(31, 69))  # 31.0 to 68.0 (Winter '27)
_SEASONS = ("Winter", "Spring", "Summer")


def release_label(version: int) -> str:
    """`Spring '26` for 66: three releases a year, counted from Winter '24 = 59."""
    step = version - 59
    return f"{_SEASONS[step % 3]} '{24 + step // 3:02d}"


@dataclass(frozen=True, slots=True)
class Field:
    """One field as describe tells it. `type` is describe's word; `parts` make a compound address."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    updateable: bool = True
    createable: bool = True
    required: bool = False
    options: tuple[str, ...] = ()
    default_option: str | None = None
    restricted: bool = False
    refers: tuple[str, ...] = ()
    relationship: str | None = None
    external_id: bool = False
    id_lookup: bool = False
    parts: tuple[tuple[str, str], ...] = ()
    follows: tuple[str, ...] = ()  # a formula: what it shows of another object, by its path
    title: str = ""  # the label of a field that was made while the org runs

    @property
    def custom(self) -> bool:
        return self.name.endswith(("__c", "__pc"))

    @property
    def label(self) -> str:
        return self.title or _label(self.name)

    @property
    def filterable(self) -> bool:
        """Long text and compound fields can neither be filtered nor sorted."""
        return self.type not in ("textarea", "address")

    @property
    def default(self) -> Json:
        """What a row without a stored value answers: booleans are never null."""
        return False if self.type == "boolean" else None

    @property
    def read_only(self) -> bool:
        return not (self.updateable or self.createable)


@dataclass(frozen=True)
class ObjectType:
    """An object, its fields in describe order; `children`: relationship name -> (object, foreign key)."""

    name: str
    prefix: str
    fields: Mapping[str, Field]
    plural: str
    updateable: bool = True
    children: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @cached_property
    def by_lower_name(self) -> Mapping[str, Field]:
        return {name.lower(): each for name, each in self.fields.items()}

    @cached_property
    def by_relationship(self) -> Mapping[str, Field]:
        return {each.relationship.lower(): each for each in self.fields.values() if each.relationship}

    def find(self, name: str) -> Field | None:
        """Names are matched without case, as the server does."""
        return self.by_lower_name.get(name.lower())


Schema = Mapping[str, ObjectType]


# -------------------------------------------------------------------------------------------- fields, shortly


def _text(name: str, length: int = 255, **more: Any) -> Field:
    return Field(name, "string", length=length, **more)


def _long(name: str) -> Field:
    return Field(name, "textarea", length=32000)


def _pick(name: str, *options: str, **more: Any) -> Field:
    return Field(name, "picklist", length=255, options=options, **more)


def _flag(name: str, **more: Any) -> Field:
    return Field(name, "boolean", **more)


def _whole(name: str) -> Field:
    return Field(name, "int", precision=8)


def _double(name: str, precision: int, scale: int = 0, **more: Any) -> Field:
    return Field(name, "double", precision=precision, scale=scale, **more)


def _money(name: str) -> Field:
    return Field(name, "currency", precision=18, scale=2)


def _date(name: str, **more: Any) -> Field:
    return Field(name, "date", **more)


def _time(name: str, **more: Any) -> Field:
    return Field(name, "datetime", **more)


def _ref(name: str, relationship: str | None, *refers: str, **more: Any) -> Field:
    return Field(name, "reference", length=18, refers=refers, relationship=relationship, **more)


def _fixed(fields: Iterable[Field]) -> list[Field]:
    """The same fields, written by the platform only."""
    return [replace(each, updateable=False, createable=False) for each in fields]


def _address(name: str, prefix: str) -> list[Field]:
    parts = ("street", "city", "state", "postalCode", "country")
    names = {part: prefix + part[0].upper() + part[1:] for part in parts}
    lengths = {"street": 255, "city": 40, "state": 80, "postalCode": 20, "country": 80}
    compound = Field(
        name,
        "address",
        updateable=False,
        createable=False,
        parts=tuple((part, names[part]) for part in parts),
    )
    return [*(_text(names[part], lengths[part]) for part in parts), compound]


def _system() -> list[Field]:
    return _fixed(
        [
            _flag("IsDeleted"),
            _time("CreatedDate"),
            _ref("CreatedById", "CreatedBy", "User"),
            _time("LastModifiedDate"),
            _ref("LastModifiedById", "LastModifiedBy", "User"),
            _time("SystemModstamp"),
        ]
    )


def _object(name: str, prefix: str, *fields: Field, plural: str = "", updateable: bool = True) -> ObjectType:
    identity = Field("Id", "id", length=18, updateable=False, createable=False, id_lookup=True)
    every = [identity, *fields, *_system()]
    return ObjectType(name, prefix, {each.name: each for each in every}, plural or name + "s", updateable)


LADDER = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist", "other")
MQL_STATUSES = ("none", "qualified", "accepted", "rejected", "recycled", "disqualified")

MQL_FIELDS = (
    _double("MQL_Score__c", 3),
    _double("MQL_Fit__c", 3),
    _double("MQL_Engagement__c", 3),
    _double("MQL_Band__c", 1),
    _text("MQL_Grade__c", 2),
    _pick("MQL_Status__c", *MQL_STATUSES, restricted=True),
    _text("MQL_Reason__c", 255),
    _time("MQL_Since__c"),
    _double("MQL_Criteria_Version__c", 9),
    _pick("Lifecycle_Stage__c", *LADDER),
)

LEAD_STATUSES = {  # value -> means converted
    "Open - Not Contacted": False,
    "Working - Contacted": False,
    "Closed - Converted": True,
    "Closed - Not Converted": False,
}
OPPORTUNITY_STAGES = {  # value -> (closed, won, probability)
    "Prospecting": (False, False, 10.0),
    "Qualification": (False, False, 20.0),
    "Proposal/Price Quote": (False, False, 65.0),
    "Negotiation/Review": (False, False, 80.0),
    "Closed Won": (True, True, 100.0),
    "Closed Lost": (True, False, 0.0),
}
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_INDUSTRIES = (
    "Agriculture", "Banking", "Biotechnology", "Chemicals", "Construction", "Consulting", "Education",
    "Electronics", "Energy", "Engineering", "Finance", "Government", "Healthcare", "Insurance",
    "Manufacturing", "Media", "Retail", "Technology", "Telecommunications", "Transportation",
    "Utilities", "Other",
)  # fmt: skip
_RATINGS = ("Hot", "Warm", "Cold")
_WHO = ("Contact", "Lead")
_WHAT = ("Account", "Opportunity", "Campaign")


def _name_parts() -> list[Field]:
    return [
        _text("LastName", 80, required=True),
        _text("FirstName", 40),
        _pick("Salutation", "Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
        *_fixed([_text("Name", 121)]),
        _text("Title", 128),
    ]


def _reachable() -> list[Field]:
    return [
        Field("Phone", "phone", length=40),
        Field("MobilePhone", "phone", length=40),
        Field("Email", "email", length=80, id_lookup=True),
        _long("Description"),
        _pick("LeadSource", *_SOURCES),
        _flag("HasOptedOutOfEmail"),
        _flag("DoNotCall"),
        *_fixed([_date("LastActivityDate")]),
        _text("EmailBouncedReason", 255),
        _time("EmailBouncedDate"),
        _text("Ext_Id__c", 64, external_id=True, id_lookup=True),
    ]


def _lead(extra: tuple[Field, ...]) -> ObjectType:
    return _object(
        "Lead",
        "00Q",
        *_fixed([_ref("MasterRecordId", "MasterRecord", "Lead")]),
        *_name_parts(),
        _text("Company", 255, required=True),
        *_address("Address", ""),
        *_reachable(),
        Field("Website", "url", length=255),
        _pick("Status", *LEAD_STATUSES, default_option="Open - Not Contacted"),
        _pick("Industry", *_INDUSTRIES),
        _pick("Rating", *_RATINGS),
        _money("AnnualRevenue"),
        _whole("NumberOfEmployees"),
        _ref("OwnerId", "Owner", "Group", "User"),
        _flag("IsConverted", updateable=False),
        *_fixed(
            [
                _date("ConvertedDate"),
                _ref("ConvertedAccountId", "ConvertedAccount", "Account"),
                _ref("ConvertedContactId", "ConvertedContact", "Contact"),
                _ref("ConvertedOpportunityId", "ConvertedOpportunity", "Opportunity"),
            ]
        ),
        _flag("IsUnreadByOwner"),
        *extra,
    )


def _contact(extra: tuple[Field, ...]) -> ObjectType:
    return _object(
        "Contact",
        "003",
        *_fixed([_ref("MasterRecordId", "MasterRecord", "Contact")]),
        _ref("AccountId", "Account", "Account"),
        *_name_parts(),
        _text("Department", 80),
        *_address("MailingAddress", "Mailing"),
        *_reachable(),
        _ref("ReportsToId", "ReportsTo", "Contact"),
        _ref("OwnerId", "Owner", "User"),
        *_fixed([_text("Account_Industry__c", 255, follows=("Account", "Industry"))]),
        *extra,
    )


def _account() -> ObjectType:
    return _object(
        "Account",
        "001",
        *_fixed([_ref("MasterRecordId", "MasterRecord", "Account")]),
        _text("Name", 255, required=True),
        _pick(
            "Type", "Prospect", "Customer - Direct", "Customer - Channel", "Partner", "Competitor", "Other"
        ),
        _ref("ParentId", "Parent", "Account"),
        *_address("BillingAddress", "Billing"),
        Field("Phone", "phone", length=40),
        Field("Website", "url", length=255),
        _pick("Industry", *_INDUSTRIES),
        _money("AnnualRevenue"),
        _whole("NumberOfEmployees"),
        _long("Description"),
        _pick("Rating", *_RATINGS),
        _ref("OwnerId", "Owner", "User"),
        *_fixed([_date("LastActivityDate")]),
    )


def _campaign() -> ObjectType:
    return _object(
        "Campaign",
        "701",
        _text("Name", 80, required=True),
        _ref("ParentId", "Parent", "Campaign"),
        _pick(
            "Type",
            "Conference",
            "Webinar",
            "Trade Show",
            "Email",
            "Advertisement",
            "Content",
            "Web",
            "Direct Mail",
            "Other",
        ),
        _pick("Status", "Planned", "In Progress", "Completed", "Aborted", default_option="Planned"),
        _date("StartDate"),
        _date("EndDate"),
        _flag("IsActive"),
        _long("Description"),
        _ref("OwnerId", "Owner", "User"),
    )


def _campaign_member() -> ObjectType:
    once = {"updateable": False}
    return _object(
        "CampaignMember",
        "00v",
        _ref("CampaignId", "Campaign", "Campaign", required=True, **once),
        _ref("LeadId", "Lead", "Lead", **once),
        _ref("ContactId", "Contact", "Contact", **once),
        *_fixed(
            [_ref("LeadOrContactId", "LeadOrContact", "Contact", "Lead"), _pick("Type", "Contact", "Lead")]
        ),
        Field("Status", "picklist", length=40, options=("Sent", "Responded", "Registered", "Attended")),
        *_fixed([_flag("HasResponded"), _date("FirstRespondedDate")]),
    )


def _activity(*fields: Field) -> list[Field]:
    return [
        _ref("WhoId", "Who", *_WHO),
        _ref("WhatId", "What", *_WHAT),
        *_fixed([_ref("AccountId", "Account", "Account")]),
        Field("Subject", "combobox", length=255, options=("Call", "Email", "Send Quote", "Other")),
        _pick("Type", "Call", "Email", "Meeting", "Other"),
        _date("ActivityDate"),
        _long("Description"),
        _ref("OwnerId", "Owner", "Group", "User"),
        *_fixed([_flag("IsArchived")]),
        _flag("IsRecurrence", updateable=False),
        *fields,
    ]


def _task() -> ObjectType:
    return _object(
        "Task",
        "00T",
        *_activity(
            _pick(
                "Status", "Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred",
                default_option="Not Started",
            ),
            _pick("Priority", "High", "Normal", "Low", default_option="Normal"),
            _pick("TaskSubtype", "Task", "Email", "ListEmail", "Call", "Cadence", updateable=False),
            *_fixed([_flag("IsClosed"), _flag("IsHighPriority"), _time("CompletedDateTime")]),
            _pick("CallType", "Internal", "Inbound", "Outbound"),
            _whole("CallDurationInSeconds"),
            _text("CallDisposition", 255),
        ),
    )  # fmt: skip


def _event() -> ObjectType:
    return _object(
        "Event",
        "00U",
        *_activity(
            _time("StartDateTime"),
            _time("EndDateTime"),
            _time("ActivityDateTime"),
            _whole("DurationInMinutes"),
            _flag("IsAllDayEvent"),
            _text("Location", 255),
            _pick("EventSubtype", "Event", updateable=False),
            *_fixed([_flag("IsChild"), _flag("IsGroupEvent")]),
        ),
    )


def _who_relation(activity: str, prefix: str) -> ObjectType:
    return _object(
        f"{activity}WhoRelation", prefix, _ref(f"{activity}Id", activity, activity, required=True),
        _ref("RelationId", "Relation", *_WHO, required=True), _pick("Type", *_WHO),
    )  # fmt: skip


def _opportunity() -> ObjectType:
    return _object(
        "Opportunity",
        "006",
        _text("Name", 120, required=True),
        _ref("AccountId", "Account", "Account"),
        _pick("StageName", *OPPORTUNITY_STAGES, required=True),
        _money("Amount"),
        Field("Probability", "percent", precision=3),
        _date("CloseDate", required=True),
        _pick("Type", "New Business", "Existing Business"),
        _pick("LeadSource", *_SOURCES),
        *_fixed(
            [_flag("IsClosed"), _flag("IsWon"), _pick("ForecastCategory", "Omitted", "Pipeline", "Closed")]
        ),
        _ref("CampaignId", "Campaign", "Campaign"),
        _ref("ContactId", "Contact", "Contact", updateable=False),
        _ref("OwnerId", "Owner", "User"),
        plural="Opportunities",
    )


def _contact_role() -> ObjectType:
    return _object(
        "OpportunityContactRole",
        "00K",
        _ref("OpportunityId", "Opportunity", "Opportunity", required=True, updateable=False),
        _ref("ContactId", "Contact", "Contact", required=True),
        _pick(
            "Role",
            "Decision Maker",
            "Economic Buyer",
            "Evaluator",
            "Influencer",
            "Executive Sponsor",
            "Other",
        ),
        _flag("IsPrimary"),
    )


def _user() -> ObjectType:
    return _object(
        "User",
        "005",
        _text("Username", 80, required=True),
        *_name_parts(),
        Field("Email", "email", length=128),
        _flag("IsActive"),
        _ref("ManagerId", "Manager", "User"),
        _pick("UserType", "Standard", "AutomatedProcess", updateable=False),
    )


def _small_objects() -> list[ObjectType]:
    return [
        _object(
            "Group", "00G", _text("Name", 40), _text("Type", 40), Field("Email", "email", length=255),
            updateable=False,
        ),
        _object(
            "Organization", "00D", _text("Name", 80), _text("OrganizationType", 40), _flag("IsSandbox"),
            _text("TimeZoneSidKey", 40), _text("DefaultLocaleSidKey", 40), _text("InstanceName", 5),
            _text("CurrencyIsoCode", 3), updateable=False,
        ),
        _object(
            "CampaignMemberStatus", "01Y", _ref("CampaignId", "Campaign", "Campaign"), _text("Label", 40),
            _flag("HasResponded"), _flag("IsDefault"), _whole("SortOrder"), plural="CampaignMemberStatuses",
            updateable=False,
        ),
        _object(
            "AssignmentRule", "01Q", _text("Name", 120), _pick("SobjectType", "Case", "Lead"), _flag("Active"),
            updateable=False,
        ),
        _object(
            "LeadStatus", "01J", _text("ApiName"), _text("MasterLabel"), _flag("IsConverted"),
            _flag("IsDefault"), _whole("SortOrder"), plural="LeadStatuses", updateable=False,
        ),
        _object(
            "OpportunityStage", "0F9", _text("ApiName"), _text("MasterLabel"), _flag("IsClosed"),
            _flag("IsWon"), _flag("IsActive"), _double("DefaultProbability", 3), _whole("SortOrder"),
            updateable=False,
        ),
        _object(
            "RecordType", "012", _text("Name", 80), _text("DeveloperName", 80), _text("SobjectType", 40),
            _flag("IsActive"), updateable=False,
        ),
        *permission_objects(),
        _history("Lead", "017"),
        _history("Contact", "03p"),
    ]  # fmt: skip


def permission_objects() -> list[ObjectType]:
    """Who may do what: permission sets, what they grant, and who has them."""
    parent = _ref("ParentId", "Parent", "PermissionSet", required=True, updateable=False)
    rights = (
        "ApiEnabled",
        "ModifyAllData",
        "ViewAllData",
        "CustomizeApplication",
        "ManageUsers",
        "ViewSetup",
    )
    return [
        _object(
            "PermissionSet", "0PS", _text("Name", 80, required=True), _text("Label", 80, required=True),
            _text("Description"), *_fixed([_flag("IsOwnedByProfile")]),
            *(_flag(f"Permissions{right}") for right in rights),
        ),
        _object(
            "FieldPermissions", "01k", parent, _text("SobjectType", 40, required=True),
            _text("Field", 120, required=True), _flag("PermissionsRead"), _flag("PermissionsEdit"),
            plural="FieldPermissions",
        ),
        _object(
            "ObjectPermissions", "110", parent, _text("SobjectType", 40, required=True),
            *(_flag(f"Permissions{act}") for act in ("Read", "Edit", "Create", "Delete")),
            *(_flag(f"Permissions{act}AllRecords") for act in ("View", "Modify")), plural="ObjectPermissions",
        ),
        _object(
            "PermissionSetAssignment", "0Pa",
            _ref("PermissionSetId", "PermissionSet", "PermissionSet", required=True, updateable=False),
            _ref("AssigneeId", "Assignee", "User", required=True, updateable=False),
        ),
    ]  # fmt: skip


def custom_field_object() -> ObjectType:
    """What the Tooling API calls CustomField."""
    return _object(
        "CustomField", "00N", _text("DeveloperName"), _text("NamespacePrefix"), _text("TableEnumOrId"),
        plural="CustomFields",
    )  # fmt: skip


PERMISSION_OBJECTS = ("PermissionSet", "FieldPermissions", "ObjectPermissions", "PermissionSetAssignment")


def _history(parent: str, prefix: str) -> ObjectType:
    plain = _object(
        f"{parent}History", prefix, _ref(f"{parent}Id", parent, parent), _text("Field"), _text("OldValue"),
        _text("NewValue"), plural=f"{parent}Histories", updateable=False,
    )  # fmt: skip
    # History rows carry no other stamp than their creation.
    kept = {
        name: each
        for name, each in plain.fields.items()
        if name not in ("LastModifiedDate", "LastModifiedById", "SystemModstamp")
    }
    return replace(plain, fields=kept)


_CHILDREN: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Account": {"Contacts": ("Contact", "AccountId"), "Opportunities": ("Opportunity", "AccountId")},
    "Campaign": {"CampaignMembers": ("CampaignMember", "CampaignId")},
    "Contact": {
        "CampaignMembers": ("CampaignMember", "ContactId"),
        "OpportunityContactRoles": ("OpportunityContactRole", "ContactId"),
        "Tasks": ("Task", "WhoId"),
        "Events": ("Event", "WhoId"),
        "Histories": ("ContactHistory", "ContactId"),
    },
    "Lead": {
        "CampaignMembers": ("CampaignMember", "LeadId"),
        "Tasks": ("Task", "WhoId"),
        "Events": ("Event", "WhoId"),
        "Histories": ("LeadHistory", "LeadId"),
    },
    "Opportunity": {"OpportunityContactRoles": ("OpportunityContactRole", "OpportunityId")},
}

NAME_OBJECT = ObjectType(
    # What a polymorphic parent (Who, What, Owner) can be asked for, whatever stands behind it.
    "Name",
    "",
    {
        each.name: each
        for each in (
            Field("Id", "id", length=18),
            _text("Name"),
            _text("FirstName"),
            _text("LastName"),
            _text("Title"),
            Field("Email", "email", length=80),
            Field("Phone", "phone", length=40),
            _text("Type"),
        )
    },
    "Names",
)


def make_schema(
    *,
    with_mql_fields: bool = True,
    hidden: Iterable[str] = (),
    person_accounts: bool = False,
    shared_activities: bool = False,
    record_types: bool = False,
) -> Schema:
    """The org's objects by API name.

    `person_accounts`: an Account may be a person, and has its Contact's fields too. `shared_activities`: a Task or
    Event may be about several people. `record_types`: a Lead is of one; an object without any has no such field.

    `hidden` lists `Object.Field` names that field-level security hides from the API user: they vanish from
    describe and from queries, as in a real org. Raises ValueError for a name that is no field.
    """
    extra = MQL_FIELDS if with_mql_fields else ()
    objects = [
        _lead(extra),
        _contact(extra),
        _account(),
        _campaign(),
        _campaign_member(),
        _task(),
        _event(),
        _opportunity(),
        _contact_role(),
        _user(),
        *_small_objects(),
    ]
    if shared_activities:
        objects += [_who_relation("Task", "0RT"), _who_relation("Event", "0RE")]
    schema = {each.name: replace(each, children=_CHILDREN.get(each.name, {})) for each in objects}
    if person_accounts:
        _allow_persons(schema, extra)
    if record_types:
        of = _ref("RecordTypeId", "RecordType", "RecordType")
        schema["Lead"] = replace(schema["Lead"], fields={**schema["Lead"].fields, of.name: of})
    for path in hidden:
        name, _, column = path.partition(".")
        if name not in schema or column not in schema[name].fields:
            raise ValueError(f"Cannot hide {path}: the sandbox has no such field.")
        kept = {key: each for key, each in schema[name].fields.items() if key != column}
        schema[name] = replace(schema[name], fields=kept)
    return schema


def _allow_persons(schema: dict[str, ObjectType], extra: tuple[Field, ...]) -> None:
    """Account gains what its person's Contact holds: standard fields under names of their own, `X__c` as `X__pc`."""
    more = [
        *_fixed([_flag("IsPersonAccount"), _ref("PersonContactId", "PersonContact", "Contact")]),
        Field("PersonEmail", "email", length=80),
        _text("FirstName", 40),
        _text("LastName", 80),
        *(replace(each, name=f"{each.name.removesuffix('__c')}__pc") for each in extra),
    ]
    account, contact = schema["Account"], schema["Contact"]
    schema["Account"] = replace(account, fields={**account.fields, **{each.name: each for each in more}})
    [flag] = _fixed([_flag("IsPersonAccount")])
    schema["Contact"] = replace(contact, fields={**contact.fields, flag.name: flag})


# ----------------------------------------------------------------------------------------- describe documents


def describe(kind: ObjectType, version: str) -> dict[str, Json]:
    """The full describe document of an object, as `GET /sobjects/{object}/describe` answers it."""
    return {
        **describe_briefly(kind, version),
        "fields": [_describe_field(each) for each in kind.fields.values()],
        "childRelationships": [
            {"relationshipName": name, "childSObject": child, "field": key, "cascadeDelete": False}
            for name, (child, key) in kind.children.items()
        ],
    }


def describe_briefly(kind: ObjectType, version: str) -> dict[str, Json]:
    """The entry of an object in the global describe."""
    base = f"/services/data/v{version}/sobjects/{kind.name}"
    people = kind.name in ("Lead", "Contact", "Account")
    return {
        "name": kind.name,
        "label": _label(kind.name),
        "labelPlural": _label(kind.plural),
        "keyPrefix": kind.prefix,
        "custom": False,
        "activateable": False,
        "createable": kind.updateable,
        "deletable": kind.updateable and kind.name != "User",
        "updateable": kind.updateable,
        "queryable": True,
        "retrieveable": True,
        "replicateable": kind.updateable,
        "mergeable": people,
        "undeletable": kind.updateable and kind.name not in ("User", "CampaignMember"),
        "searchable": people,
        "layoutable": kind.updateable,
        "triggerable": kind.updateable,
        "deprecatedAndHidden": False,
        "feedEnabled": people,
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
    }


def _describe_field(each: Field) -> dict[str, Json]:
    return {
        "name": each.name,
        "label": each.label,
        "type": each.type,
        "soapType": _SOAP_TYPES.get(each.type, "xsd:string"),
        "length": each.length,
        "byteLength": each.length * 3,
        "precision": each.precision if each.type in ("double", "currency", "percent") else 0,
        "scale": each.scale,
        "digits": each.precision if each.type == "int" else 0,
        "custom": each.custom,
        "createable": each.createable,
        "updateable": each.updateable,
        "nillable": not each.required and each.type not in ("boolean", "id"),
        "calculated": bool(each.follows),
        "filterable": each.filterable,
        "sortable": each.filterable,
        "groupable": each.filterable and each.type not in ("double", "currency", "percent", "datetime"),
        "externalId": each.external_id,
        "idLookup": each.id_lookup,
        "unique": each.external_id,
        "caseSensitive": False,
        "permissionable": each.custom,
        "restrictedPicklist": each.restricted,
        "picklistValues": [
            {
                "active": True,
                "defaultValue": option == each.default_option,
                "label": option,
                "value": option,
                "validFor": None,
            }
            for option in each.options
        ],
        "referenceTo": list(each.refers),
        "relationshipName": each.relationship,
        "polymorphicForeignKey": len(each.refers) > 1,
        "compoundFieldName": None,
        "defaultedOnCreate": each.type == "boolean" or each.default_option is not None,
        "encrypted": False,
        "deprecatedAndHidden": False,
        "nameField": each.name == "Name",
        "inlineHelpText": None,
        "defaultValue": each.default,
    }


_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}


def _label(name: str) -> str:
    """`MQL_Score__c` reads "MQL Score", `OwnerId` reads "Owner ID"."""
    plain = name.removesuffix("__c").replace("_", " ")
    spaced = "".join(
        f" {char}" if index and char.isupper() and plain[index - 1].islower() else char
        for index, char in enumerate(plain)
    )
    return spaced[:-2] + "ID" if spaced.endswith(" Id") else spaced
