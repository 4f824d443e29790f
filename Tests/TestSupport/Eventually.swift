/// Waits for what must come true, without a fixed sleep.
///
/// What throws is not true yet: a file is just being replaced, a connection was cut. It is printed, and thrown if that is so to the
/// end. Tests that keep all threads at work stand in the way of those that wait, so the limit is generous.
package func eventually(
    within limit: Duration = .seconds(120), every pause: Duration = .milliseconds(20),
    _ condition: () async throws -> Bool
) async throws -> Bool {
    let deadline = ContinuousClock.now.advanced(by: limit)
    var last = ""
    while ContinuousClock.now < deadline {
        do {
            if try await condition() { return true }
        } catch {
            if "\(error)" != last { print("not yet: \(error)") }
            last = "\(error)"
        }
        try await Task.sleep(for: pause)
    }
    return try await condition()
}
