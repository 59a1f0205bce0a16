"""What job titles tell, language by language."""

import pytest

from connector.core.fields import JOB_FUNCTIONS, SENIORITIES
from connector.core.titles import TitleRow, parse_titles, read_title, shipped_titles


@pytest.mark.parametrize(
    ("title", "seniority", "function"),
    [
        ("CEO", "c_level", "general_management"), ("C.E.O.", "c_level", "general_management"),
        ("Co-Founder & CEO", "c_level", "general_management"), ("Managing Director", "c_level",
        "general_management"),
        ("President", "c_level", "general_management"), ("Vice President, Sales", "vp", "sales"),
        ("V.P. of Sales", "vp", "sales"), ("SVP Marketing", "vp", "marketing"), ("Director of IT", "director",
        "it"),
        ("Head of Marketing", "director", "marketing"), ("IT Manager", "manager", "it"), ("CFO", "c_level",
        "finance"),
        ("Assistant to the Director", "staff", "administration"),
        ("Executive Assistant to the CEO", "staff", "administration"), ("Former CEO", "staff", "administration"),
        ("Key Account Manager", "senior", "sales"), ("Software Engineer", "staff", "engineering"),
        ("Intern, Marketing", "student", "marketing"), ("Owner / Director", "owner", "general_management"),
        ("Product Owner", "staff", "product"), ("Directory listings", None, None), ("Wizard", None, None),
        ("Geschäftsführer", "c_level", "general_management"), ("GESCHÄFTSFÜHRERIN", "c_level",
        "general_management"),
        ("Vertriebsleiter", "director", "sales"), ("Leiterin Marketing & Vertrieb", "director", "marketing"),
        ("Assistentin der Geschäftsführung", "staff", "administration"), ("Werkstudent", "student", None),
        ("Teamleiter Kundenservice", "manager", "customer_service"), ("Abteilungsleiter Einkauf", "manager",
        "procurement"),
        ("Directrice Générale", "c_level", "general_management"),
        ("Directeur des systèmes d’information", "c_level", "it"), ("Vice-président", "vp", None),
        ("Assistante de direction", "staff", "administration"), ("Responsable achats", "manager", "procurement"),
        ("Director General", "c_level", "general_management"), ("Jefe de Ventas", "manager", "sales"),
        ("Vicepresidenta de Finanzas", "vp", "finance"), ("Becario", "student", None),
        ("Amministratore Delegato", "c_level", "general_management"), ("Direttore Vendite", "director", "sales"),
        ("Assistente del direttore", "staff", "administration"), ("Titolare", "owner", "general_management"),
        ("Diretora de Recursos Humanos", "director", "human_resources"), ("Sócio", "partner", None),
        ("Secretária do diretor", "staff", "administration"), ("Estagiário", "student", None),
        ("Algemeen Directeur", "c_level", "general_management"), ("Hoofd Inkoop", "director", "procurement"),
        ("Directiesecretaresse", "staff", "administration"), ("Eigenaar", "owner", "general_management"),
        ("代表取締役社長", "c_level", "general_management"), ("営業部長", "director", "sales"), ("部長",
        "director", None),
        ("課長", "manager", None), ("社長秘書", "staff", "administration"), ("副社長", "vp", "general_management"),
        ("マーケティングマネージャー", "manager", "marketing"), ("学生", "student", None),
    ],
)  # fmt: skip
def test_a_title_tells_seniority_and_function(title, seniority, function):
    assert read_title(title) == (seniority, function)


def test_an_admins_row_beats_ours():
    own = (TitleRow("en", "wizard", "director", "engineering"), TitleRow("en", "director", "manager"))
    assert read_title("Code Wizard", own) == ("director", "engineering")
    assert read_title("Director of Sales", own) == ("manager", "sales")


def test_the_shipped_tables_use_known_words_in_eight_languages():
    rows = shipped_titles()
    assert {row.language for row in rows} == {"en", "de", "fr", "es", "it", "pt", "nl", "ja"}
    assert {row.seniority for row in rows} - {""} <= set(SENIORITIES)
    assert {row.job_function for row in rows} - {""} == set(JOB_FUNCTIONS)


def test_a_table_with_mistakes_says_which_lines():
    rows, complaints = parse_titles(
        "language,phrase,seniority,job_function\nen,boss,chief,\nen,chef,c_level,\nen,x,,\n"
    )
    assert [row.phrase for row in rows] == ["chef"]
    assert [complaint.split(":")[0] for complaint in complaints] == ["line 2", "line 4"]
    assert parse_titles("title\nboss\n")[1] == (
        "needs the columns language, phrase, seniority, job_function.",
    )


def test_a_pasted_novel_costs_no_time():
    assert read_title("word " * 100_000) == (None, None)
