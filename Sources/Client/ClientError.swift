package import Fleet

/// Why a call did not do what it was asked, in words for people.
package struct ClientError: Error, CustomStringConvertible {
    /// The HTTP status; nil where no answer came.
    package var status: Int?
    /// The manager's own words, where it answered.
    package var problem: Problem?
    package var description: String

    init(status: Int? = nil, problem: Problem? = nil, _ description: String) {
        self.status = status
        self.problem = problem
        self.description = description
    }

    init(_ problem: Problem) {
        status = problem.status
        self.problem = problem
        // The diagnostics as a compiler prints them say more than their number.
        description = problem.text.map { "\(problem.detail)\n\($0)" } ?? problem.detail
        if problem.status == 401 { description += " Give --token, TRUNKLINE_TOKEN or the manager's --data directory." }
    }
}
