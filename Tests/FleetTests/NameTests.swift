import Fleet
import Testing
import TestSupport

@Suite("Names may stand in topics, paths and URLs as they are")
struct NameTests {
    @Test("Names", arguments: ["a", "0", "edge-1", "a--b", String(repeating: "a", count: 63)])
    func valid(name: String) { #expect(Name.isValid(name)) }

    @Test(
        "No names",
        arguments: [
            "", "-", "-a", "a-", "A", "a_b", "a.b", "..", "a/b", "a b", "a\n", "é", "a\u{301}", "+", "#", "a\u{0}", "а",
            String(repeating: "a", count: 64), "$sys",
        ])
    func invalid(name: String) { #expect(!Name.isValid(name)) }

    @Test("Versions", arguments: ["1", "5.6.3", "1.0-rc.1+b_2~deb12", "V2", String(repeating: "9", count: 64)])
    func validVersion(version: String) { #expect(Name.isValidVersion(version)) }

    @Test(
        "No versions",
        arguments: [
            "", ".", "..", "-1", "+1", "~", "1/2", "1 2", "1@2", "é", "1\u{301}", String(repeating: "9", count: 65),
        ])
    func invalidVersion(version: String) { #expect(!Name.isValidVersion(version)) }

    @Test("Exactly the bytes a-z, 0-9 and - make a name, and - not at its ends")
    func everyByte() {
        for byte in UInt8.min...127 {
            let letter = String(UnicodeScalar(byte))
            let isAlphanumeric = ("a"..."z").contains(letter) || ("0"..."9").contains(letter)
            #expect(Name.isValid("a\(letter)a") == (isAlphanumeric || letter == "-"), "\(byte)")
            #expect(Name.isValid(letter) == isAlphanumeric, "\(byte)")
        }
    }
}

@Suite("Software is named as name@version")
struct SoftwareReferenceTests {
    @Test("It is read and printed")
    func read() {
        let reference = SoftwareReference("kamailio@5.6.3")
        #expect(reference == SoftwareReference(name: "kamailio", version: "5.6.3"))
        #expect(reference?.description == "kamailio@5.6.3")
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "@", "kamailio", "kamailio@", "@5.6.3", "kamailio@5@6", "Kamailio@5", "kamailio @5", "../x@1", "x@../1",
        ])
    func refused(text: String) { #expect(SoftwareReference(text) == nil) }

    @Test("What is printed is read again as the same", arguments: 1...50 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let letters = Array("abcxyz0189")
        func word() -> String {
            String(
                (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                    letters.randomElement(using: &generator) ?? "a"
                })
        }
        let reference = SoftwareReference(name: "\(word())-\(word())", version: "\(word()).\(word())~\(word())")
        #expect(SoftwareReference(reference.description) == reference)
    }
}

@Suite("A platform is local, none, or a driver by name")
struct PlatformTests {
    @Test(
        "It is read and printed",
        arguments: [("local", Platform.local), ("none", .none), ("exec:cloud-1", .exec("cloud-1"))])
    func read(text: String, platform: Platform) {
        #expect(Platform(text) == platform)
        #expect(platform.description == text)
    }

    @Test(
        "Anything else is refused",
        arguments: ["", "Local", "exec", "exec:", "exec:../sh", "exec:/bin/sh", "exec:A", " local"])
    func refused(text: String) { #expect(Platform(text) == nil) }
}
