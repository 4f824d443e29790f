import Foundation
import Glibc
import OperatingSystem
import Testing

@Suite("Processes and files of the system")
struct ProcessTableTests {
    @Test("A process's name may hold parentheses and spaces")
    func processEntry() {
        let text = "42 (a) b (c) S 1 42 41 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 777 1000 1"
        let entry = ProcessEntry(stat: text)
        #expect(entry?.pid == 42 && entry?.group == 42 && entry?.session == 41 && entry?.started == 777)
        #expect(entry?.isAlive == true)
        #expect(
            ProcessEntry(stat: "42 (x) Z 1") == nil && ProcessEntry(stat: "") == nil && ProcessEntry(stat: ")(") == nil)
    }

    @Test("This very process is found, with its session, its start and its environment")
    func ourselves() throws {
        let entry = try #require(ProcessTable.entry(getpid()))
        #expect(entry.pid == getpid() && entry.session == getsid(0) && entry.group == getpgrp() && entry.isAlive)
        #expect(ProcessTable.pids.contains(getpid()) && ProcessTable.all().contains { $0.started == entry.started })
        let path = try #require(ProcessInfo.processInfo.environment["PATH"])
        let environment = try #require(ProcessTable.environment(getpid())).split(separator: 0)
        #expect(environment.contains { $0.elementsEqual("PATH=\(path)".utf8) })
        #expect(ProcessTable.bootID.count == 36)
    }

    @Test("A file is wholly the old or wholly the new one, and says why it is neither")
    func wholeFiles() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "whole-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let file = directory + "/file"
        #expect(WholeFile.read(file, limit: 10) == nil)
        try WholeFile.write(Array("one".utf8), to: file)
        #expect(
            WholeFile.read(file, limit: 10) == Array("one".utf8) && WholeFile.read(file, limit: 2) == Array("on".utf8))
        #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
        // As on a full disk: the new one cannot be made beside it.
        try FileManager.default.createDirectory(atPath: file + ".new", withIntermediateDirectories: false)
        #expect {
            try WholeFile.write(Array("two".utf8), to: file)
        } throws: { ($0 as? SystemError)?.description == "cannot create \(file).new: Is a directory" }
        #expect(WholeFile.read(file, limit: 10) == Array("one".utf8))
    }
}
