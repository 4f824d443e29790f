import Fleet
import Hummingbird

extension API {
    static var softwareRoutes: [Route] {
        [
            Route(
                method: .put, path: "/v1/software/{name}/{version}",
                summary: "Upload a bundle; the same bytes again change nothing.",
                tag: "software", needs: .editor, body: .bundle,
                answers: [
                    .init(status: 201, says: "It is there now.", schema: "Software"),
                    .init(status: 200, says: "It was there before.", schema: "Software"),
                ], problems: [400, 403, 409, 413, 415, 422, 503]
            ) { api, incoming in
                let reference = try incoming.reference()
                let bundle = try await ArrivedBundle.receive(incoming.request, api.configuration)
                do {
                    let (software, created) = try await api.operations.pushSoftware(
                        reference, bundleAt: bundle.path, digest: bundle.digest, size: bundle.size, by: incoming.caller)
                    return try .json(
                        software, status: created ? .created : .ok,
                        location: created ? "/v1/software/\(reference.name)/\(reference.version)" : nil)
                } catch {
                    ArrivedBundle.discard(bundle.path)
                    throw error
                }
            },
            Route(
                method: .get, path: "/v1/software", summary: "List the software that is there.", tag: "software",
                needs: .viewer,
                query: [
                    .init(name: "after", says: "The `next` of the page before.", schema: "SoftwareCursor"),
                    Route.paging[1],
                ], answers: [.init(status: 200, says: "A page.", schema: "SoftwarePage")],
                problems: [400]
            ) { api, incoming in
                let after = incoming.query("after")
                if let after, SoftwareReference(after) == nil {
                    throw Refusal(code: .malformed, message: "after takes the `next` of the page before; got \(after).")
                }
                return try .json(try await api.operations.software(after: after, limit: try incoming.limit()))
            },
            Route(
                method: .get, path: "/v1/software/{name}/{version}", summary: "Show one.", tag: "software",
                needs: .viewer,
                answers: [.init(status: 200, says: "What it is.", schema: "Software")], problems: [400, 404]
            ) { api, incoming in
                try .json(try await api.operations.software(try incoming.reference()))
            },
            Route(
                method: .delete, path: "/v1/software/{name}/{version}", summary: "Remove software that no group names.",
                tag: "software", needs: .editor, answers: [.init(status: 204, says: "It is gone.", type: nil)],
                problems: [400, 404, 409]
            ) { api, incoming in
                try await api.operations.removeSoftware(try incoming.reference(), by: incoming.caller)
                return Response(status: .noContent)
            },
        ]
    }
}
