import Client
import Fleet
import Testing

@testable import trunkline

@Suite("The screen of watch")
struct WatchScreenTests {
    private func machine(_ group: String, _ index: Int, _ state: MachineState = .running) -> MachineView {
        var machine = MachineView(
            MachineRecord(
                id: "\(group)-\(index + 1)", group: group, index: index, platform: .local, phase: .joined,
                phaseSince: Timestamp(milliseconds: 0)))
        machine.state = state
        return machine
    }

    private func group(_ name: String) -> GroupView {
        GroupView(
            name: name, revision: 1, state: .running, service: "voice", software: "soft@1", digest: "", text: "",
            status: GroupStatusView(phase: .converged, desired: 3, present: 3, verified: 3, failed: 0, away: 0),
            changed: Timestamp(milliseconds: 0), by: "user a")
    }

    /// A screen with these machines in each group.
    private func screen(_ groups: [String] = ["edge"], machines: Int = 30) -> WatchScreen {
        var screen = WatchScreen(group: nil)
        let count = groups.count * machines
        screen.take(
            .item(.snapshot(SnapshotView(why: .begin, version: "1", groups: groups.count, machines: count))))
        for name in groups { screen.take(.item(.group(group(name)))) }
        for name in groups {
            for index in 0..<machines { screen.take(.item(.machine(machine(name, index)))) }
        }
        screen.take(.item(.ready(ReadyView(event: 0))))
        return screen
    }

    private func shown(_ screen: inout WatchScreen, columns: Int = 80, rows: Int = 12) -> [ScreenLine] {
        screen.lines(WatchScreen.Size(columns: columns, rows: rows))
    }

    @Test("fits every terminal, from one line of one letter on", arguments: [1, 2, 3, 5, 24, 200], [1, 7, 80, 300])
    func fits(rows: Int, columns: Int) {
        var screen = screen(["edge", "core", "lab"])
        for keys in ["", "j", "G", "/edge-2\r"] {
            for key in Key.parse(Array(keys.utf8)) { _ = screen.press(key) }
            let lines = shown(&screen, columns: columns, rows: rows)
            #expect(lines.count == rows)
            #expect(lines.allSatisfy { $0.text.count <= columns })
        }
    }

    @Test(
        "names the machines that it shows, whose loads are asked for; a load of one that is gone brings it back to nobody"
    )
    func shownMachines() {
        var screen = screen()
        _ = shown(&screen, rows: 12)
        let first = screen.shown
        #expect(first.first == "edge-1" && (1...11).contains(first.count))
        for key in Key.parse(Array("G".utf8)) { _ = screen.press(key) }
        _ = shown(&screen, rows: 12)
        #expect(screen.shown.last == "edge-30" && screen.shown.count == first.count)
        for key in Key.parse(Array("/edge-2\r".utf8)) { _ = screen.press(key) }
        _ = shown(&screen, rows: 40)
        #expect(screen.shown == ["edge-2"] + (20...29).map { "edge-\($0)" })
        var loaded = machine("edge", 1)
        loaded.metrics = ["calls": 17]
        screen.take(pulse: loaded)
        #expect(shown(&screen, columns: 300).contains { $0.text.contains("calls=17") })
        screen.take(.item(.removed(RemovedView(group: "edge", machine: "edge-2"))))
        screen.take(pulse: loaded)
        #expect(!shown(&screen, columns: 300, rows: 40).contains { $0.text.contains("calls=17") })
        #expect(screen.shown == (20...29).map { "edge-\($0)" })
    }

    @Test("j, k, arrows and ends move the mark, which stays in sight, and the first and last are the ends")
    func moves() {
        var screen = screen()
        func selected(after keys: String) -> String? {
            for key in Key.parse(Array(keys.utf8)) { _ = screen.press(key) }
            let lines = shown(&screen).filter(\.isSelected)
            return lines.first?.text.split(separator: " ").dropFirst().first.map(String.init)
        }
        #expect(selected(after: "") == nil)
        #expect(selected(after: "j") == "edge-1" && selected(after: "jj") == "edge-3")
        #expect(selected(after: "\u{1B}[B\u{1B}OB") == "edge-5" && selected(after: "k\u{1B}[A") == "edge-3")
        #expect(selected(after: "G") == "edge-30" && selected(after: "j") == "edge-30")
        #expect(selected(after: "\u{1B}[5~") == "edge-21" && selected(after: "g") == "edge-1")
        #expect(selected(after: "k") == "edge-1")
    }

    @Test("/ filters as it is typed, by name, group, state and software; Esc takes it away")
    func filters() {
        var screen = screen(["edge", "core"], machines: 3)
        screen.take(.item(.machine(machine("core", 1, .failed))))
        func names(after keys: String) -> [String] {
            for key in Key.parse(Array(keys.utf8)) { _ = screen.press(key) }
            return shown(&screen, rows: 20).compactMap { line in
                line.text.firstMatch(of: /^  ((edge|core)-[0-9]+)/).map { String($0.1) }
            }
        }
        #expect(names(after: "").count == 6)
        #expect(names(after: "/edge-") == ["edge-1", "edge-2", "edge-3"])
        #expect(names(after: "2") == ["edge-2"])
        #expect(names(after: "\u{7F}\u{7F}\u{7F}\u{7F}\u{7F}\u{7F}failed") == ["core-2"], "q is a letter here: q")
        #expect(screen.press(.enter) == nil)
        screen.take(.item(.machine(machine("edge", 0, .failed))))
        #expect(names(after: "") == ["core-2", "edge-1"])
        #expect(names(after: "\u{1B}").count == 6)
        #expect(screen.press(.letter("q")) == .quit)
    }

    @Test("Enter asks for an explanation and l for the log of the marked machine; q goes back first")
    func pages() {
        var screen = screen()
        _ = screen.press(.down)
        _ = screen.press(.down)
        #expect(screen.press(.enter) == .explain("edge-2"))
        screen.show(page: (1...40).map { "line \($0)" })
        #expect(shown(&screen)[0].text == "edge-2" && shown(&screen)[1].text == "line 1")
        _ = screen.press(.down)
        #expect(shown(&screen)[1].text == "line 2")
        #expect(screen.press(.letter("q")) == .nothing)
        #expect(screen.press(.letter("l")) == .logs("edge-2"))
        for number in 1...40 { screen.append(line: "said \(number)") }
        #expect(shown(&screen).dropLast().last?.text == "said 40", "the newest is in sight")
        _ = screen.press(.up)
        screen.append(line: "said 41")
        #expect(shown(&screen).dropLast().last?.text == "said 39", "whoever reads is left where he is")
        #expect(screen.press(.escape) == .nothing && screen.press(.letter("q")) == .quit)
    }

    @Test("Without a connection it says so and shows what was last known; a new picture takes away what is gone")
    func loss() {
        var screen = screen(machines: 3)
        screen.take(.lost("no answer"))
        let lines = shown(&screen)
        #expect(lines.last?.text == "not connected, trying again: no answer")
        #expect(lines.contains { $0.text.contains("edge-3") })
        screen.take(.item(.snapshot(SnapshotView(why: .unknown, version: "1", groups: 1, machines: 1))))
        screen.take(.item(.group(group("edge"))))
        screen.take(.item(.machine(machine("edge", 0))))
        #expect(shown(&screen).contains { $0.text.contains("edge-3") })
        screen.take(.item(.ready(ReadyView(event: 0))))
        #expect(!shown(&screen).contains { $0.text.contains("edge-3") || $0.text.contains("not connected") })
        #expect(shown(&screen).contains { $0.text.contains("edge-1") })
    }
}
