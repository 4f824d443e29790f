// swift-tools-version: 6.2
import PackageDescription

/// One list for every target: the upcoming features that the code base is written in.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// `make test` takes no warning; whoever builds with a newer compiler than ours is not stopped by its new ones.
let strict: [SwiftSetting] = Context.environment["TRUNKLINE_STRICT"] == nil ? [] : [.treatAllWarnings(as: .error)]

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioHTTP: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP2: Target.Dependency = .product(name: "NIOHTTP2", package: "swift-nio-http2")
let nioHPACK: Target.Dependency = .product(name: "NIOHPACK", package: "swift-nio-http2")
let nioHTTPTypesHTTP2: Target.Dependency = .product(name: "NIOHTTPTypesHTTP2", package: "swift-nio-extras")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "trunkline",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "trunkline", targets: ["trunkline"]),
        .executable(name: "trunkline-agent", targets: ["trunkline-agent"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.10.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.20.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "trunkline",
            dependencies: [
                "Manager", "Client", "Simulator", "GroupLanguage", "Bundles", "Messaging", "Records", "Sealing",
                "OperatingSystem", "Fleet", arguments,
                logging,
                subprocess, systemPackage,
            ]),
        .executableTarget(name: "trunkline-agent", dependencies: ["Agent"]),
        .target(name: "Client", dependencies: ["Fleet", crypto, httpClient, nio, nioHTTP, nioPosix, nioSSL]),
        .target(
            name: "Manager",
            dependencies: [
                "Platforms", "Records", "Messaging", "Sealing", "Certificates", "Foresight", "Journal", "Monitor",
                "GroupLanguage",
                "Bundles",
                "OperatingSystem", "Fleet",
                crypto, httpClient, hummingbird, hummingbirdCore, nioSSL, lifecycle, signals, logging,
                httpTypes,
                nio, nioHPACK, nioHTTP, nioHTTP2, nioHTTPTypes, nioHTTPTypesHTTP2, subprocess, systemPackage,
            ]),
        .target(
            name: "Agent",
            dependencies: [
                "Messaging", "Sealing", "Certificates", "Bundles", "OperatingSystem", "Fleet", logging, subprocess,
                systemPackage,
            ]),
        .target(
            name: "Simulator", dependencies: ["Messaging", "Sealing", "Certificates", "Fleet", nio, nioPosix, nioSSL]),
        .target(name: "Platforms", dependencies: ["OperatingSystem", "Fleet", logging, subprocess, systemPackage]),
        .target(name: "Records", dependencies: ["Fleet", grdb]),
        .target(name: "Messaging", dependencies: ["CMosquitto", "Fleet", logging]),
        .target(name: "Sealing", dependencies: [crypto]),
        .target(name: "Certificates", dependencies: ["Fleet", x509, asn1, crypto]),
        .target(name: "Foresight", dependencies: ["Monitor", "Fleet"]),
        .target(name: "Journal", dependencies: ["Monitor", "Fleet"]),
        .target(name: "Monitor", dependencies: ["Rules", "Fleet"]),
        .target(name: "Rules", dependencies: ["Fleet"]),
        .target(name: "GroupLanguage", dependencies: ["Fleet"]),
        .target(name: "Bundles", dependencies: ["CZlib", "CZstd", "Fleet"]),
        // Not `System`: packages that find a module of that name import it for Apple's.
        .target(name: "OperatingSystem"),
        .target(name: "Fleet"),
        .systemLibrary(
            name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev", "libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        .target(name: "TestSupport", dependencies: ["OperatingSystem"], path: "Tests/TestSupport"),
        // Counts what the tests' program asks of the allocator.
        .target(name: "CAllocations", path: "Tests/CAllocations"),
        // What a delivery is measured against.
        .target(name: "BarePipeline", dependencies: ["CMosquitto", "CZstd"], path: "Tests/BarePipeline"),
        .executableTarget(
            name: "trunkline-bench",
            dependencies: [
                "BarePipeline", "Client", "Messaging", "CMosquitto", "Certificates", "Sealing", "Bundles", "Records",
                "Fleet",
                "Simulator",
                "TestSupport",
                logging,
            ], path: "Tests/Bench", exclude: ["RESULT.md", "growth.svg"]),
        .testTarget(name: "OperatingSystemTests", dependencies: ["OperatingSystem", "TestSupport"]),
        .testTarget(name: "FleetTests", dependencies: ["Fleet", "TestSupport"]),
        .testTarget(name: "GroupLanguageTests", dependencies: ["GroupLanguage", "Fleet", "TestSupport"]),
        .testTarget(name: "RulesTests", dependencies: ["Rules", "Fleet", "TestSupport"]),
        .testTarget(
            name: "MonitorTests",
            dependencies: [
                "Foresight", "Journal", "Monitor", "Rules", "Agent", "Bundles", "CZlib", "Fleet", "TestSupport",
            ]),
        .testTarget(
            name: "SimulatorTests", dependencies: ["Simulator", "Messaging", "Sealing", "Fleet", "TestSupport", nio]),
        .testTarget(name: "SealingTests", dependencies: ["Sealing", crypto, "TestSupport"]),
        .testTarget(name: "CertificatesTests", dependencies: ["Certificates", "Fleet", "TestSupport"]),
        .testTarget(name: "BundlesTests", dependencies: ["Bundles", "CZlib", "Fleet", "TestSupport"]),
        .testTarget(
            name: "MessagingTests", dependencies: ["Messaging", "Certificates", "Fleet", "TestSupport", logging]),
        .testTarget(
            name: "AgentTests",
            dependencies: [
                "Agent", "trunkline-agent", "Messaging", "Sealing", "Bundles", "OperatingSystem", "GroupLanguage",
                "Fleet", "TestSupport",
                logging,
            ]),
        .testTarget(name: "PlatformsTests", dependencies: ["Platforms", "Fleet", "TestSupport"]),
        .testTarget(
            name: "RecordsTests", dependencies: ["Records", "Sealing", "Fleet", "TestSupport", grdb],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "ManagerTests",
            dependencies: [
                "CAllocations", "Manager", "Client", "Records", "Messaging", "Sealing", "Bundles", "Monitor",
                "Platforms", "OperatingSystem",
                "Fleet",
                "Simulator",
                "TestSupport", grdb,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                nio, nioEmbedded, nioHPACK, nioPosix, nioSSL, nioTLS, lifecycle, httpTypes, hummingbirdCore,
            ]),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "trunkline", "trunkline-agent", "Client", "Messaging", "Sealing", "Certificates", "Bundles",
                "GroupLanguage", "OperatingSystem", "Fleet", "Simulator", "TestSupport", logging, grdb,
            ]),
    ]
)

// What strangers may send: the entries are for libFuzzer and for the tests over Fuzz/corpus.
package.targets += [
    .target(
        name: "FuzzEntries",
        dependencies: [
            "Agent", "Messaging", "Sealing", "Certificates", "GroupLanguage", "Bundles", "CZlib", "Fleet",
        ], path: "Fuzz/Entries"),
    .testTarget(name: "FuzzCorpusTests", dependencies: ["FuzzEntries", "TestSupport"]),
]

// Only for `make fuzz`: everything of ours with coverage, and a program with libFuzzer in it.
if Context.environment["TRUNKLINE_FUZZ"] != nil {
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Fuzz/CFuzzer"),
        .executableTarget(
            name: "trunkline-fuzz", dependencies: ["FuzzEntries", "CFuzzer"], path: "Fuzz/Runner",
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
    ]
    for target in package.targets where target.type != .system {
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer"])]
    }
}

for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + settings + strict
}
