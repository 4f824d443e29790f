import Fleet
import Rules

/// The totals that a group's aggregates need, kept up with every change of a machine: O(log n) each, and no judgement walks the group.
///
/// A segment tree over places: a sum depends on what the machines report now, never on what they reported before.
struct Tally: Sendable {
    /// What aggregates go over.
    let inner: [Expression]
    private var trees: [Tree]

    init(_ inner: [Expression]) {
        self.inner = inner
        trees = inner.map { _ in Tree() }
    }

    var totals: [Expression: Total] {
        Dictionary(uniqueKeysWithValues: zip(inner, trees).map { ($0, $1.all) })
    }

    /// Without the machines at these places.
    func totals(without places: Set<Int>) -> [Expression: Total] {
        let places = places.sorted()
        return Dictionary(uniqueKeysWithValues: zip(inner, trees).map { ($0, $1.total(without: places)) })
    }

    /// Takes what the machines at a place add, in the order of `inner`.
    mutating func put(_ totals: [Total], at place: Int) {
        for (index, total) in totals.enumerated() { trees[index].put(total, at: place) }
    }
}

/// A complete binary tree: node 1 is the root, the children of node n are 2n and 2n + 1.
private struct Tree: Sendable {
    private var nodes = [Total(), Total()]

    private var capacity: Int { nodes.count / 2 }
    var all: Total { nodes[1] }

    mutating func put(_ total: Total, at place: Int) {
        if place >= capacity {
            guard total != Total() else { return }
            grow(to: place)
        }
        var node = capacity + place
        guard nodes[node] != total else { return }
        nodes[node] = total
        while node > 1 {
            node /= 2
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
        }
    }

    private mutating func grow(to place: Int) {
        let leaves = nodes[capacity...]
        var size = capacity
        while size <= place { size *= 2 }
        nodes = Array(repeating: Total(), count: 2 * size)
        nodes.replaceSubrange(size..<size + leaves.count, with: leaves)
        for node in stride(from: size - 1, to: 0, by: -1) { nodes[node] = nodes[2 * node] + nodes[2 * node + 1] }
    }

    /// - Parameter places: in order.
    func total(without places: [Int]) -> Total {
        var (total, start) = (Total(), 0)
        for place in places where place < capacity {
            total = total + self.total(from: start, to: place)
            start = place + 1
        }
        return total + self.total(from: start, to: capacity)
    }

    private func total(from start: Int, to end: Int) -> Total {
        var (left, right) = (Total(), Total())
        var (first, last) = (start + capacity, end + capacity)
        while first < last {
            if first % 2 == 1 {
                left = left + nodes[first]
                first += 1
            }
            if last % 2 == 1 {
                last -= 1
                right = nodes[last] + right
            }
            (first, last) = (first / 2, last / 2)
        }
        return left + right
    }
}

extension Monitor {
    /// After a change of the record, and where machines were read.
    mutating func tallyAll(_ name: String) {
        guard let group = living(name), !group.aggregated.isEmpty else {
            tallies[name] = nil
            return
        }
        tallies[name] = Tally(group.aggregated)
        for place in group.places.keys { tally(place, of: group) }
    }

    /// After a change of the machine.
    mutating func tally(_ machine: MachineRecord) {
        guard tallies[machine.group] != nil, let group = groups[machine.group] else { return }
        tally(machine.index, of: group)
    }

    /// The same where a present machine has another load only. By index: a copy of a group costs more than all of this.
    mutating func tallyLoad(
        of machine: Dictionary<String, MachineRecord>.Index, in group: Dictionary<String, Group>.Index
    ) {
        let (name, place) = (groups.keys[group], fleet.values[machine].index)
        guard let inner = tallies[name]?.inner else { return }
        var totals: [Total] = []
        for inner in inner {
            guard groups.values[group].places[place]?.count == 1, case .metric(let metric) = inner else {
                return tally(fleet.values[machine])
            }
            totals.append(Total(of: fleet.values[machine].value(ofMetric: metric)))
        }
        tallies[name]?.put(totals, at: place)
    }

    private mutating func tally(_ place: Int, of group: Group) {
        let name = group.record.name
        guard let inner = tallies[name]?.inner else { return }
        let ids = group.places[place] ?? []
        // In order, so that a sum does not depend on who came first.
        let present = (ids.count > 1 ? ids.sorted() : ids).compactMap { fleet[$0] }.filter {
            $0.phase == .joined && $0.judged.awaySince == nil
        }
        let totals = inner.map { inner in
            present.map { Total(of: value(of: inner, $0, group)) }.reduce(Total(), +)
        }
        tallies[name]?.put(totals, at: place)
    }

    /// What most aggregates go over is a metric, for which nothing of the group is needed.
    private func value(of inner: Expression, _ machine: MachineRecord, _ group: Group) -> FactValue? {
        if case .metric(let name) = inner { return machine.value(ofMetric: name) }
        return Scope(group: record(for: machine, group), counts: nil, machine: machine).value(of: inner)
    }
}
