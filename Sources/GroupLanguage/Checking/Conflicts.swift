import Fleet

/// Rules of a group that checks which will probably not do what was meant.
struct Conflicts {
    private(set) var found = FaultList()

    init(of group: GroupDefinition, in body: Body) {}
}
