"""Words that made-up people and companies are built from: names, titles, places, forms, campaigns.

Data only.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN_DOMAIN = "our-company.example"
SITE = f"https://www.{OWN_DOMAIN}"
COMPETITOR_DOMAINS = ("rival-one.example", "rival-two.example")
FREE_MAIL = {
    "en": ("gmail.com", "outlook.com", "yahoo.com"),
    "de": ("gmx.de", "web.de", "gmail.com"),
    "fr": ("orange.fr", "gmail.com", "free.fr"),
    "ja": ("yahoo.co.jp", "gmail.com"),
    "ru": ("mail.ru", "yandex.ru"),
}
DISPOSABLE = ("mailinator.com", "yopmail.com")
ROLES = ("info", "sales", "office", "kontakt", "contact", "support")
CUSTOM_STAGE = "51439524"  # an account's own lifecycle stage: HubSpot gives those numeric text ids
CUSTOM_STAGE_LABEL = "Partner"


@dataclass(frozen=True, slots=True)
class Locale:
    """Names as (own script, ASCII), where people live, and how a country is spelled by people who type it in."""

    language: str
    country: str  # ISO 3166 alpha-2
    spellings: tuple[str, ...]
    phone: str
    cities: tuple[str, ...]
    first: tuple[tuple[str, str], ...]
    last: tuple[tuple[str, str], ...]
    family_first: bool = False


def _same(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, name) for name in names)


LOCALES: tuple[tuple[int, Locale], ...] = (  # weight, locale
    (
        26,
        Locale(
            "en",
            "US",
            ("United States", "USA", "US", "U.S.A.", "united states", "United States of America"),
            "+1 212 555 ",
            ("New York", "Austin", "Denver", "Portland", "Boston"),
            _same(
                "Ada", "Grace", "Katherine", "Margaret", "Alan", "Dennis", "Barbara", "Edwin", "Nora", "Miles"
            ),
            _same(
                "Lovell", "Hopkins", "Turner", "O'Neill", "Smith-Jones", "Miller", "Brooks", "Carter", "Reed"
            ),
        ),
    ),
    (
        12,
        Locale(
            "en",
            "GB",
            ("United Kingdom", "UK", "Great Britain", "England", "GB", "uk "),
            "+44 20 7946 0",
            ("London", "Leeds", "Bristol", "Edinburgh"),
            _same("Oliver", "Imogen", "Harriet", "Callum", "Freya", "Rupert", "Priya", "Idris"),
            _same("Ashworth", "Whitby", "MacLeod", "Patel", "Fairfax", "Thorne", "Okafor"),
        ),
    ),
    (
        16,
        Locale(
            "de",
            "DE",
            ("Germany", "Deutschland", "DE", "germany", "Bundesrepublik Deutschland", "D"),
            "+49 30 23125 ",
            ("Berlin", "München", "Köln", "Hamburg", "Düsseldorf"),
            (("Jürgen", "juergen"), ("Käthe", "kaethe"), ("Lea", "lea"), ("Jörg", "joerg"), ("Anja", "anja")),
            (
                ("Müller", "mueller"),
                ("Groß", "gross"),
                ("Weiß", "weiss"),
                ("Fischer", "fischer"),
                ("von Böhm", "vonboehm"),
            ),
        ),
    ),
    (
        9,
        Locale(
            "fr",
            "FR",
            ("France", "FR", "france", "République française"),
            "+33 1 99 00 ",
            ("Paris", "Lyon", "Nîmes", "Besançon"),
            (
                ("Zoé", "zoe"),
                ("François", "francois"),
                ("Hélène", "helene"),
                ("Loïc", "loic"),
                ("Anaïs", "anais"),
            ),
            (("Lefèvre", "lefevre"), ("Dubois", "dubois"), ("Gagné", "gagne"), ("D'Aubigné", "daubigne")),
        ),
    ),
    (
        7,
        Locale(
            "es",
            "ES",
            ("Spain", "España", "ES", "Espana"),
            "+34 91 000 ",
            ("Madrid", "Málaga", "Bilbao", "A Coruña"),
            (("José", "jose"), ("Íñigo", "inigo"), ("Lucía", "lucia"), ("Begoña", "begona")),
            (("Núñez", "nunez"), ("García Márquez", "garciamarquez"), ("Ibáñez", "ibanez"), ("Peña", "pena")),
        ),
    ),
    (
        5,
        Locale(
            "it",
            "IT",
            ("Italy", "Italia", "IT"),
            "+39 02 0000 ",
            ("Milano", "Roma", "Forlì"),
            (("Niccolò", "niccolo"), ("Chiara", "chiara"), ("Giosuè", "giosue"), ("Elena", "elena")),
            (("Rossi", "rossi"), ("De Luca", "deluca"), ("Esposito", "esposito"), ("Nicolò", "nicolo")),
        ),
    ),
    (
        5,
        Locale(
            "pt",
            "BR",
            ("Brazil", "Brasil", "BR"),
            "+55 11 5550 ",
            ("São Paulo", "Goiânia", "Recife"),
            (("João", "joao"), ("Conceição", "conceicao"), ("Inês", "ines"), ("Caio", "caio")),
            (("Gonçalves", "goncalves"), ("Araújo", "araujo"), ("da Silva", "dasilva"), ("Simões", "simoes")),
        ),
    ),
    (
        4,
        Locale(
            "nl",
            "NL",
            ("Netherlands", "The Netherlands", "Nederland", "Holland", "NL"),
            "+31 20 000 ",
            ("Amsterdam", "Utrecht", "'s-Hertogenbosch"),
            (("Joost", "joost"), ("Daniël", "daniel"), ("Femke", "femke"), ("Noëlle", "noelle")),
            (("van der Berg", "vanderberg"), ("de Vries", "devries"), ("IJsselstein", "ijsselstein")),
        ),
    ),
    (
        5,
        Locale(
            "ja",
            "JP",
            ("Japan", "日本", "JP", "JAPAN"),
            "+81 3 5550 ",
            ("東京", "大阪", "Kyoto", "福岡"),
            (
                ("花子", "hanako"),
                ("太郎", "taro"),
                ("さくら", "sakura"),
                ("健一", "kenichi"),
                ("美咲", "misaki"),
            ),
            (
                ("山田", "yamada"),
                ("佐藤", "sato"),
                ("鈴木", "suzuki"),
                ("髙橋", "takahashi"),
                ("渡邊", "watanabe"),
            ),
            family_first=True,
        ),
    ),
    (
        3,
        Locale(
            "ru",
            "KZ",
            ("Kazakhstan", "Казахстан", "KZ"),
            "+7 727 000 ",
            ("Алматы", "Astana"),
            (("Ирина", "irina"), ("Сергей", "sergey"), ("Алёна", "alena"), ("Юрий", "yuri")),
            (("Иванова", "ivanova"), ("Щербаков", "shcherbakov"), ("Жукова", "zhukova")),
        ),
    ),
    (
        3,
        Locale(
            "ar",
            "AE",
            ("United Arab Emirates", "UAE", "الإمارات", "U.A.E."),
            "+971 4 000 ",
            ("Dubai", "أبوظبي"),
            (("ليلى", "layla"), ("يوسف", "yousef"), ("عمر", "omar"), ("مريم", "maryam")),
            (("الحداد", "alhaddad"), ("منصور", "mansour"), ("خوري", "khoury")),
        ),
    ),
    (
        3,
        Locale(
            "el",
            "GR",
            ("Greece", "Ελλάδα", "GR", "Hellas"),
            "+30 21 0000 ",
            ("Αθήνα", "Thessaloniki"),
            (("Νίκος", "nikos"), ("Ελένη", "eleni"), ("Γιώργος", "giorgos")),
            (("Παπαδόπουλος", "papadopoulos"), ("Νικολάου", "nikolaou"), ("Ξένος", "xenos")),
        ),
    ),
    (
        2,
        Locale(
            "pl",
            "PL",
            ("Poland", "Polska", "PL"),
            "+48 22 000 ",
            ("Łódź", "Kraków", "Warszawa"),
            (("Łukasz", "lukasz"), ("Małgorzata", "malgorzata"), ("Zofia", "zofia")),
            (("Wójcik", "wojcik"), ("Żak", "zak"), ("Nowak", "nowak")),
        ),
    ),
)

SENIORITIES = ("c_level", "vp", "director", "manager", "senior", "staff", "intern")

# Titles as people write them, by language and seniority.
TITLES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "c_level": ("CEO", "Chief Revenue Officer", "CTO & Co-Founder", "Chief Marketing Officer", "CFO"),
        "vp": ("VP Marketing", "VP of Sales", "Vice President, Engineering", "SVP Operations"),
        "director": (
            "Director of Marketing",
            "Sales Director",
            "Head of Growth",
            "Director, Data & Analytics",
        ),
        "manager": ("Marketing Manager", "RevOps Manager", "Product Manager", "IT Manager", "HR manager"),
        "senior": ("Senior Software Engineer", "Sr. Data Analyst", "Lead Designer"),
        "staff": ("Marketing Specialist", "Software Engineer", "Accountant", "Sales Rep", "Buyer"),
        "intern": ("Intern", "Marketing Intern", "Working student"),
    },
    "de": {
        "c_level": (
            "Geschäftsführer",
            "Geschäftsführerin",
            "Vorstandsvorsitzender",
            "Technischer Geschäftsführer",
        ),
        "vp": ("Bereichsleiter Vertrieb", "Bereichsleiterin Marketing"),
        "director": ("Leiter Marketing", "Leiterin Einkauf", "Vertriebsleiter", "Abteilungsleiter IT"),
        "manager": ("Teamleiter Vertrieb", "Projektleiterin", "Marketing-Manager (m/w/d)"),
        "senior": ("Senior Entwickler", "Leitender Ingenieur"),
        "staff": (
            "Sachbearbeiter Einkauf",
            "Softwareentwickler",
            "Vertriebsmitarbeiterin",
            "Referent Personal",
        ),
        "intern": ("Praktikantin", "Werkstudent", "Auszubildender"),
    },
    "fr": {
        "c_level": ("PDG", "Directrice générale", "Président", "Directeur financier"),
        "vp": ("Vice-président des ventes",),
        "director": ("Directeur marketing", "Directrice commerciale", "Directeur des achats"),
        "manager": ("Responsable marketing", "Chef de projet", "Responsable informatique"),
        "senior": ("Ingénieur principal",),
        "staff": ("Chargée de communication", "Développeur", "Commercial", "Acheteuse"),
        "intern": ("Stagiaire marketing", "Alternant"),
    },
    "es": {
        "c_level": ("Director General", "Consejera delegada", "Presidente"),
        "vp": ("Vicepresidente de Ventas",),
        "director": ("Directora de Marketing", "Director Comercial", "Director de TI"),
        "manager": ("Jefe de Ventas", "Gerente de Marketing", "Responsable de compras"),
        "senior": ("Ingeniera sénior",),
        "staff": ("Desarrolladora", "Técnico de marketing", "Comercial"),
        "intern": ("Becario", "Becaria de marketing"),
    },
    "it": {
        "c_level": ("Amministratore delegato", "Direttore generale"),
        "vp": ("Vicepresidente Vendite",),
        "director": ("Direttore marketing", "Direttrice commerciale"),
        "manager": ("Responsabile marketing", "Responsabile acquisti"),
        "senior": ("Ingegnere senior",),
        "staff": ("Sviluppatore", "Impiegata commerciale"),
        "intern": ("Stagista", "Tirocinante"),
    },
    "pt": {
        "c_level": ("Diretor executivo", "Presidente", "Sócia-fundadora"),
        "vp": ("Vice-presidente de Vendas",),
        "director": ("Diretora de Marketing", "Diretor Comercial"),
        "manager": ("Gerente de Marketing", "Coordenadora de vendas"),
        "senior": ("Engenheiro sênior",),
        "staff": ("Desenvolvedor", "Analista de marketing"),
        "intern": ("Estagiário", "Estagiária"),
    },
    "nl": {
        "c_level": ("Algemeen directeur", "Oprichter en CEO"),
        "vp": ("VP Verkoop",),
        "director": ("Directeur marketing", "Hoofd verkoop"),
        "manager": ("Marketingmanager", "Teamleider inkoop"),
        "senior": ("Senior ontwikkelaar",),
        "staff": ("Ontwikkelaar", "Medewerker marketing"),
        "intern": ("Stagiair", "Stagiaire marketing"),
    },
    "ja": {
        "c_level": ("代表取締役社長", "最高技術責任者", "代表取締役"),
        "vp": ("執行役員", "営業本部長"),
        "director": ("マーケティング部長", "営業部長", "情報システム部長"),
        "manager": ("課長", "マーケティングマネージャー", "営業課長"),
        "senior": ("主任エンジニア",),
        "staff": ("エンジニア", "営業担当", "マーケティング担当"),
        "intern": ("インターン",),
    },
}

INDUSTRIES = (
    "COMPUTER_SOFTWARE",
    "MACHINERY",
    "HOSPITAL_HEALTH_CARE",
    "RETAIL",
    "FINANCIAL_SERVICES",
    "HIGHER_EDUCATION",
    "LOGISTICS_AND_SUPPLY_CHAIN",
    "MARKETING_AND_ADVERTISING",
)
COMPANY_WORDS = (
    "Nordwind", "Blue Harbor", "Kestrel", "Sonnenfeld", "Altamira", "Hoshizora", "Quill", "Brightwater",
    "Pinewood", "Ferrum", "Lindgren", "Osprey", "Granite", "Meridian", "Juniper", "Céleste", "Ålesund",
    "Vértice", "Tramontana",
)  # fmt: skip
COMPANY_ENDS = ("GmbH", "Inc.", "Ltd", "SARL", "S.p.A.", "株式会社", "B.V.", "AG", "LLC", "& Sons", "S.A.")

SOURCES = (
    "ORGANIC_SEARCH",
    "PAID_SEARCH",
    "DIRECT_TRAFFIC",
    "REFERRALS",
    "SOCIAL_MEDIA",
    "EMAIL_MARKETING",
    "OFFLINE",
)

# (form name, our engagement type, page)
FORMS: tuple[tuple[str, str, str], ...] = (
    ("Whitepaper: Scoring without guessing", "content_download", "/resources/whitepaper"),
    ("E-Book: RevOps in practice", "content_download", "/resources/ebook"),
    ("Price list", "pricing_download", "/pricing/list"),
    ("Desktop app download", "app_download", "/download"),
    ("Survey: how do you qualify leads?", "form_submission", "/survey"),
    ("Newsletter", "newsletter_subscription", "/newsletter"),
    ("Webinar registration: Lead scoring live", "webinar_registration", "/webinars/lead-scoring"),
    ("Free trial", "trial_signup", "/trial"),
    ("Demo environment sign-up", "demo_signup", "/demo-environment"),
    ("Request a demo", "demo_request", "/demo"),
    ("Contact us", "contact_request", "/contact"),
    ("Help desk", "help_request", "/help"),
    ("Ask about pricing", "price_question", "/pricing/ask"),
    ("Please call me", "call_request", "/callback"),
    ("Sales deck request", "sales_material_request", "/sales-deck"),
    ("Ready to buy", "purchase_intent", "/buy"),
    ("Prize draw", "other", "/prize-draw"),
)

# (campaign name, vendor type, our engagement type, member status that means it happened)
CAMPAIGNS: tuple[tuple[str, str, str, str], ...] = (
    ("Webinar: Lead scoring live", "Webinar", "webinar_registration", "Registered"),
    ("Webinar: Lead scoring live", "Webinar", "webinar_attendance", "Attended"),
    ("RevOps Days Berlin", "Conference", "event_attendance", "Attended"),
    ("Search ads autumn", "Advertisement", "ad_click", "Clicked"),
    ("Social autumn", "Other", "social_engagement", "Engaged"),
    ("Direct mail: sales kit", "Direct Mail", "sales_material_request", "Responded"),
)

# How salespeople note things down: our engagement type -> subject of a Task
TASK_SUBJECTS: dict[str, str] = {
    "call": "Call",
    "email_reply": "Email: Re: our conversation",
    "demo_request": "Demo request",
    "price_question": "Price question",
    "contact_request": "Contact request",
    "help_request": "Help request",
    "call_request": "Call back requested",
    "sales_material_request": "Sales material requested",
    "purchase_intent": "Intends to buy",
    "subscription_change": "Subscription change",
    "other": "Follow up",
}

# Marketing e-mails by name; the last piece of the address a click leads to
EMAILS: tuple[tuple[str, str], ...] = (
    ("October newsletter", "/blog/october"),
    ("Product update 4.2", "/product/4-2"),
    ("Pricing has changed", "/pricing"),
    ("Invitation: Lead scoring live", "/webinars/lead-scoring"),
)
PAGES = ("/pricing", "/product", "/blog/lead-scoring", "/docs/start", "/customers", "/careers", "/")

USERS = (
    ("Robin", "Seller"),
    ("Kim", "Closer"),
    ("Sascha", "Accounts"),
    ("Alex", "Field"),
    ("Toni", "Inside"),
)
