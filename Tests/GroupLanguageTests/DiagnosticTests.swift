import Fleet
import GroupLanguage
import Testing

@Suite struct EveryDiagnostic {
    @Test(arguments: Fault.all)
    func isFoundWhereItStands(fault: Fault) throws {
        let mark = try #require(fault.marked.firstIndex(of: "‸"))
        let before = fault.marked[..<mark]
        let line = before.count { $0 == "\n" } + 1
        let column = before.reversed().prefix { $0 != "\n" }.count + 1
        let text = fault.marked.replacing("‸", with: "")
        let found = GroupLanguage.check(text)
        let first = try #require(found.first)
        #expect(first.id == fault.id)
        #expect([first.line, first.column] == [line, column])
        #expect(fault.hint == nil || first.hint == fault.hint)
        #expect(found.count == 1, "\(found.map { "\($0.line):\($0.column) \($0.id) \($0.message)" })")
        #expect(first.view.id == first.id)
    }

    @Test func isReportedTogetherWithAllOthersOfTheText() {
        let text = """
            group "Edge" {
              service = 3
              software = "kamailio"
              hartbeat = 10s
              heartbeat = 
              machines { count = many  platform = lokal }
              env = { TRUNKLINE_X = 1  A = machine.indx }
              rollout { batch = 200% ) settle = 5s }
              rule "a" { when software.helth == failing for 30h then restrat at_most = 3 }
            }
            """
        let found = GroupLanguage.check(text)
        #expect(
            found.map { "\($0.line):\($0.column) \($0.id)" } == [
                "1:7 invalid-name", "2:13 wrong-type", "3:14 invalid-reference", "4:3 unknown-key",
                "5:13 expected-value", "6:22 wrong-type", "6:39 unknown-word", "7:11 reserved-variable",
                "7:32 unknown-fact", "8:26 unexpected-token", "9:19 unknown-fact",
                "9:49 out-of-range", "9:58 unknown-action", "9:76 wrong-type",
            ])
    }

    @Test func isRenderedAsACompilerWould() throws {
        let text = Samples.rule("when software.helth == failing then deliver")
        let error = #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: text) }
        let rendered = try #require(error).rendered(file: "edge.trunk", source: text)
        #expect(
            rendered == """
                edge.trunk:5:16: error: unknown fact `software.helth` [unknown-fact]
                5 | rule "r" {when software.helth == failing then deliver}
                  |                ^~~~~~~~~~~~~~
                hint: did you mean `software.health`?

                """)
    }

    @Test func countsColumnsInCharacters() {
        let found = GroupLanguage.check(Samples.group("env = { A = \"é😀\", B = oops }"))
        #expect(found.map(\.column) == [23])
    }

    @Test func sayWhichKindOfFileWasExpected() {
        let software = #expect(throws: Diagnostics.self) { try GroupLanguage.group(from: Samples.software) }
        #expect(software?.all.map(\.id) == ["wrong-file"])
        let group = #expect(throws: Diagnostics.self) { try GroupLanguage.software(from: Samples.smallest) }
        #expect(group?.all.map(\.id) == ["wrong-file"])
    }

    @Test func isBoundedInNumberAndTime() {
        #expect(GroupLanguage.check(String(repeating: "x = @\n", count: 10_000)).count == 100)
        #expect(GroupLanguage.check(String(repeating: "é", count: 200_000)).count == 1)
        let long = "# " + String(repeating: "x", count: 1 << 20)
        #expect(GroupLanguage.check(long).map(\.id) == ["text-too-large"])
        #expect(!GroupLanguage.check(String(repeating: "(", count: 1 << 20)).isEmpty)
        #expect(!GroupLanguage.check("a = " + String(repeating: "[", count: 1 << 19)).isEmpty)
        #expect(!GroupLanguage.check(String(repeating: "a{", count: 1 << 19)).isEmpty)
        #expect(!GroupLanguage.check("a = 1" + String(repeating: "+1", count: 1 << 19 - 10)).isEmpty)
    }
}
