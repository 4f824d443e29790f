import Fleet
import Foundation
import GroupLanguage
import Testing
import TestSupport

@Suite("Laws of the language") struct LawTests {
    @Test("A group written as text or as JSON reads back as the same group", arguments: 0..<200)
    func writesWhatItReads(seed: UInt64) throws {
        var maker = GroupMaker(seed: seed)
        let group = maker.group()
        let text = GroupLanguage.text(of: group)
        #expect(try GroupLanguage.group(from: text) == group, "\(text)")
        #expect(try GroupLanguage.group(fromJSON: GroupLanguage.json(of: group)) == group)
        #expect(try GroupLanguage.format(text) == text, "what is written is in canonical form")
        // Random rules contradict each other as they like.
        #expect(GroupLanguage.check(text).allSatisfy { $0.severity == .warning })
    }

    @Test("A manifest written as text reads back as the same manifest", arguments: 0..<50)
    func writesManifests(seed: UInt64) throws {
        var maker = GroupMaker(seed: seed)
        let manifest = maker.manifest()
        #expect(try GroupLanguage.software(from: GroupLanguage.text(of: manifest)) == manifest)
    }

    @Test("Formatting twice is formatting once, and keeps every comment and the meaning", arguments: 0..<50)
    func formatsOnce(seed: UInt64) throws {
        var maker = GroupMaker(seed: seed)
        let lines = GroupLanguage.text(of: maker.group()).split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.enumerated().map { index, line in
            // Comments above and behind, and indentation of somebody's own.
            let indent = String(repeating: " ", count: maker.number(0...7))
            let above = maker.chance() ? "\(indent)# above \(index)\n" : ""
            return above + indent + line.trimmingCharacters(in: .whitespaces)
                + (maker.chance() ? "   # behind \(index)" : "")
        }.joined(separator: "\n")
        let once = try GroupLanguage.format(text)
        #expect(try GroupLanguage.format(once) == once)
        #expect(once.count { $0 == "#" } == text.count { $0 == "#" }, "\(text)\n--\n\(once)")
        #expect(try GroupLanguage.group(from: once) == GroupLanguage.group(from: text))
    }

    @Test("A changed count changes nothing else", arguments: 0..<30)
    func setsCount(seed: UInt64) throws {
        var maker = GroupMaker(seed: seed)
        var group = maker.group()
        let text = "# kept\n" + GroupLanguage.text(of: group)
        let count = maker.number((group.machines.minimum ?? 0)...(group.machines.maximum ?? 50))
        group.machines.count = count
        let changed = try GroupLanguage.setting(count: count, in: text)
        #expect(changed.hasPrefix("# kept\n"))
        #expect(try GroupLanguage.group(from: changed, as: .stored) == group)
    }

    @Test("Whatever bytes come, the answer is faults with a place in the text, never a crash", arguments: 0..<300)
    func survivesGarbage(seed: UInt64) throws {
        var maker = GroupMaker(seed: seed)
        var bytes = Array((maker.chance() ? Samples.boundedGroup : Samples.software).utf8)
        for _ in 0..<maker.number(1...20) {
            let place = maker.number(0...(bytes.count - 1))
            switch maker.number(0...3) {
            case 0: bytes[place] = UInt8(maker.number(0...255))
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(contentsOf: bytes[place...].prefix(maker.number(0...30)), at: place)
            default: bytes.swapAt(place, maker.number(0...(bytes.count - 1)))
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
        let found = GroupLanguage.check(text)
        for fault in found { #expect((1...lines + 1).contains(fault.line) && fault.column >= 1 && fault.length >= 1) }
        #expect(!Diagnostics(found).rendered(file: "f", source: text).isEmpty || found.isEmpty)
        let once = try? GroupLanguage.format(text)
        #expect(try once.map { try GroupLanguage.format($0) } == once)
        _ = try? GroupLanguage.group(fromJSON: text)
    }

    @Test(
        "A report stays short, whatever is piled up in one character or one line",
        arguments: [
            "group \"a\" { x\(String(repeating: "\u{301}", count: 100_000)) = 1 }",
            "group \"e\(String(repeating: "\u{301}", count: 100_000))\" { service = voice }",
            String(repeating: "@ ", count: 200) + "e" + String(repeating: "\u{301}", count: 20_000),
            String(repeating: "@ ", count: 200_000),
        ])
    func reportsStayShort(text: String) {
        let found = GroupLanguage.check(text)
        #expect((1...100).contains(found.count))
        #expect(Diagnostics(found).rendered(file: "f", source: text).utf8.count < 200_000)
        for fault in found { #expect(fault.message.utf8.count < 700 && fault.hint?.utf8.count ?? 0 < 700) }
    }

    @Test("Every sample in Config/ checks clean and is in canonical form")
    func samples() throws {
        let home = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Config").resolvingSymlinksInPath()
        let files = try #require(FileManager.default.enumerator(atPath: home.path)).compactMap { $0 as? String }
            .filter { $0.hasSuffix(".trunk") }.sorted()
        #expect(files.count >= 6)
        for file in files {
            let text = try String(contentsOf: home.appending(path: file), encoding: .utf8)
            let found = GroupLanguage.check(text)
            #expect(found.isEmpty, "\(Diagnostics(found).rendered(file: file, source: text))")
            #expect(try GroupLanguage.format(text) == text, "\(file)")
        }
    }
}

/// Makes groups that check, different for each seed.
private struct GroupMaker {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    mutating func chance() -> Bool { Bool.random(using: &generator) }
    private mutating func pick<Item>(_ items: [Item]) -> Item { items[number(0...items.count - 1)] }
    private mutating func maybe<Item>(_ make: (inout Self) -> Item) -> Item? { chance() ? make(&self) : nil }

    private mutating func span(_ range: ClosedRange<Int>) -> TimeSpan {
        pick([.seconds(Int64(number(range))), .milliseconds(Int64(number(range)) * 1000 + Int64(pick([0, 500])))])
    }

    private mutating func name() -> String { pick(["a", "edge", "edge-2", "x9", String(repeating: "n", count: 40)]) }

    private mutating func text() -> String {
        pick(["", "plain", "two words", "quote \" and \\", "tab\tline\nend", "é – 中", "# no comment", "${x}"])
    }

    mutating func group() -> GroupDefinition {
        let minimum = number(0...2)
        let maximum = number(20...40)
        let count = number(minimum...maximum)
        let canary = count > 1 && chance() ? self.canary(of: count) : nil
        return GroupDefinition(
            name: name(), service: pick(["voice", "messaging", "video", "fax"]),
            software: SoftwareReference(name: name(), version: pick(["1", "5.6.3", "2.0-rc1+b~x"])),
            heartbeat: span(1...600),
            machines: MachineSet(
                count: count, minimum: minimum, maximum: maximum,
                platform: pick([.local, .none, .exec("driver")]),
                labels: chance() ? ["site": text(), "rack": "r\(number(0...9))"] : [:],
                awayLimit: pick([.percent(30), .percent(12.5), .count(0), .count(7)]),
                bootTimeout: .seconds(Int64(number(10...86_400)))),
            environment: (0..<number(0...4)).map { index in
                EnvironmentEntry(name: "KEY_\(index)", value: environmentValue())
            },
            rollout: RolloutPolicy(
                canary: canary, batch: chance() ? .percent(Double(number(1...100))) : .count(number(1...50)),
                settle: span(0...60), within: span(61...3600), maxFailed: number(0...9),
                onFailure: pick(RolloutPolicy.OnFailure.allCases),
                promote: canary == nil ? .manual : pick(RolloutPolicy.Promote.allCases),
                drain: maybe { maker in
                    RolloutPolicy.Drain(
                        until: .binary(.equal, .metric("calls"), .value(.number(Double(maker.number(0...5))))),
                        atMost: maker.span(1...600), keep: maker.number(0...max(0, min(3, count - 1))))
                }, bandwidth: maybe { $0.pick([1_000_000, 20_000_000, 1 << 20, 123_456]) },
                delivery: pick([.shared, .individual])),
            rules: (0...number(0...4)).map { rule($0) })
    }

    private mutating func canary(of count: Int) -> RolloutPolicy.Canary {
        RolloutPolicy.Canary(
            machines: number(1...count - 1), holds: chance() ? .zero : span(1...600),
            worse: maybe { maker in
                let limit = Fleet.Expression.binary(
                    .multiply, .value(.number(Double(maker.number(1...9)))),
                    .aggregate(.averageOfRest, .metric("errors")))
                return .binary(.greater, .metric("errors"), limit)
            })
    }

    private mutating func environmentValue() -> Fleet.Expression {
        switch number(0...4) {
        case 0: .value(.string(text()))
        case 1: .value(.number(Double(number(0...65_535))))
        case 2: .binary(pick([.add, .multiply]), .value(.number(Double(number(1...9000)))), .fact(.machineIndex))
        case 3: .secret("sip-key")
        default: .fact(.machineID)
        }
    }

    private mutating func rule(_ index: Int) -> Rule {
        let action: Action = pick([
            .deliver, .restart, .stop, .replace, .revoke, .rollback, .scale(1), .scale(-2), .scaleTo(20),
            .notify("x" + text()),
        ])
        // What acts on one machine must speak of one, and what speaks of one must not go over all of them.
        let isOfMachine = !action.isOfGroup || chance()
        let any = condition(depth: 3, isOfMachine)
        return Rule(
            name: pick(["keep it", "rule", "grow \"fast\""]) + " \(index)",
            when: isOfMachine ? .binary(.and, any, .fact(.machineVerified)) : any,
            holds: chance() ? .zero : span(1...3600),
            action: action, limit: maybe { Rule.Limit(count: $0.number(1...100), per: $0.span(1...3600)) },
            isDry: chance())
    }

    private mutating func condition(depth: Int, _ isOfMachine: Bool) -> Fleet.Expression {
        guard depth > 0 else {
            return isOfMachine
                ? .fact(.machineVerified) : .binary(.greater, .fact(.groupAway), .value(.number(1)))
        }
        switch number(0...10) {
        case 8:
            return .window(Window(from: number(0...700), to: number(701...1439), zone: pick(["UTC", "Europe/Paris"])))
        case 9 where isOfMachine: return .binary(comparison(), .restarts(span(1...3600)), .value(.number(3)))
        case 10 where isOfMachine:
            return .binary(.and, .binary(.equal, .label("site"), .value(.string("den"))), .fact(.machineVerified))
        case 0: return .binary(.and, condition(depth: depth - 1, isOfMachine), condition(depth: depth - 1, isOfMachine))
        case 1: return .binary(.or, condition(depth: depth - 1, isOfMachine), condition(depth: depth - 1, isOfMachine))
        case 2: return .unary(.not, condition(depth: depth - 1, isOfMachine))
        case 3 where isOfMachine:
            return .binary(
                pick([.equal, .notEqual]), .fact(.machineState), .value(.word(pick(["away", "running", "failed"]))))
        case 4 where isOfMachine:
            return .binary(pick([.equal, .notEqual]), .fact(.softwareHealth), .value(.word("failing")))
        case 5 where isOfMachine: return .binary(.notEqual, .fact(.softwareDigest), .fact(.groupDigest))
        case 6 where isOfMachine:
            return .binary(comparison(), arithmetic(depth: depth - 1), arithmetic(depth: depth - 1))
        default:
            return .binary(
                comparison(),
                isOfMachine
                    ? .metric("calls") : .aggregate(pick([.average, .sum, .minimum, .maximum]), .metric("calls")),
                pick([.value(.number(80)), .fact(.groupCount)]))
        }
    }

    private mutating func comparison() -> BinaryOperator {
        pick([.less, .lessOrEqual, .greater, .greaterOrEqual, .equal])
    }

    private mutating func arithmetic(depth: Int) -> Fleet.Expression {
        guard depth > 0, chance() else {
            return pick([
                .metric("calls"), .rate("calls_total"), .value(.number(Double(number(0...99)))), .fact(.groupCount),
                .fact(.softwareRestarts),
            ])
        }
        return .binary(
            pick([.add, .subtract, .multiply, .divide, .remainder]), arithmetic(depth: depth - 1),
            arithmetic(depth: depth - 1))
    }

    private mutating func hook(_ program: String) -> SoftwareManifest.DrainHook? {
        maybe {
            SoftwareManifest.DrainHook(
                exec: [program], timeout: $0.span(1...60), secrets: $0.chance() ? ["KEY"] : nil)
        }
    }

    mutating func manifest() -> SoftwareManifest {
        let drain = hook("./drain.sh")
        return SoftwareManifest(
            name: name(), version: pick(["1", "5.6.3"]), service: pick(["voice", "fax"]),
            run: ["./start.sh"] + (0..<number(0...2)).map { _ in text() },
            environment: chance() ? ["A": text(), "B": "5060"] : [:],
            stop: SoftwareManifest.Stop(signal: pick(SoftwareManifest.Stop.signals), timeout: span(1...60)),
            health: maybe {
                SoftwareManifest.HealthCheck(
                    exec: ["./healthy.sh"], every: $0.span(1...60), timeout: $0.span(1...30),
                    failures: $0.number(1...9),
                    secrets: $0.chance() ? ["SIP_KEY", "OTHER"] : nil
                )
            }, metrics: maybe { SoftwareManifest.MetricsProbe(exec: ["./metrics.sh", "x y"], every: $0.span(1...60)) },
            drain: drain, undrain: drain == nil ? nil : hook("./undrain.sh"),
            limits: maybe {
                SoftwareManifest.Limits(
                    memory: $0.number(1...5000) * 1_000_000, cpu: $0.maybe { $0.number(1...800) },
                    processes: $0.maybe { $0.number(1...5000) }, files: $0.number(16...70_000))
            }, capabilities: chance() ? ["net_bind_service", "sys_nice"] : nil)
    }
}
