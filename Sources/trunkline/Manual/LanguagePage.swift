import GroupLanguage

/// trunkline(5): the language.
enum LanguagePage {
    static var text: String {
        var page = ManualPage(
            "trunkline", 5, "the language of machine groups, software and the manager's configuration")
        page.section("SYNOPSIS")
        page.line("*.trunk, software.trunk, trunkline.conf", .italic)
        page.section("DESCRIPTION")
        page.paragraph(
            "Blocks, key = value, and comments from # to the end of the line. A file holds one block: a group, software, or the manager's configuration, for which see trunkline.conf(5). trunkline check shows every fault with its line, a caret and a hint; trunkline fmt writes the one canonical form and keeps comments."
        )
        page.example(
            """
            group "edge" {
              service  = voice
              software = "kamailio@5.6.3"
              machines { count = 3  platform = none }
              env = { SIP_PORT = 5060, SIP_KEY = secret("sip-key") }
              rule "restart what fails its check" {
                when software.health == failing for 10s
                then restart
                at_most = 3 per 10m
              }
            }
            """)
        page.section("VALUES")
        page.term("Times", "A whole number and one of \(LanguageReference.units.joined(separator: ", ")): 10s.")
        page.term(
            "Sizes",
            "A number and one of \(LanguageReference.sizes.joined(separator: ", ")): 512MB. With /s behind it, a rate.")
        page.term(
            "Texts",
            "In double quotes, on one line, with \\n, \\t, \\\", \\\\ and \\u{…}. Words of a closed set have no quotes."
        )
        page.term("Percentages, numbers, lists, maps", "30%, 3, [\"a\", \"b\"], { KEY = \"value\" }.")
        page.section("BLOCKS")
        for section in LanguageReference.sections {
            page.subsection(section.path.joined(separator: ", "))
            page.paragraph(section.meaning)
            for term in section.terms { page.term(term.title, term.meaning) }
        }
        page.section("CONDITIONS AND EXPRESSIONS")
        page.paragraph(
            "Compared by ==, !=, <, <=, > and >=, joined by &&, || and !, reckoned with by +, -, * and /. A time of day is written between 01:00 and 05:00 in \"Europe/Paris\"."
        )
        for (title, terms) in [
            ("Facts", LanguageReference.facts), ("Functions", LanguageReference.functionTerms),
            ("Actions", LanguageReference.actionTerms),
        ] {
            page.subsection(title)
            for term in terms { page.term(term.title, term.meaning) }
        }
        page.section("SEE ALSO")
        page.paragraph("trunkline(1), trunkline.conf(5)")
        return page.text
    }
}

/// trunkline-agent(8), from the words of the agent itself.
enum AgentPage {
    static func text(_ help: String) -> String {
        var page = ManualPage("trunkline-agent", 8, "the machine's side of Trunkline")
        page.section("SYNOPSIS AND DESCRIPTION")
        // Aligned by its author.
        page.example(help.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n"))
        page.section("SEE ALSO")
        page.paragraph("trunkline(1), trunkline-serve(8)")
        return page.text
    }
}
