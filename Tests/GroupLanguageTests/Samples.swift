/// Texts that the tests share; the first two stand in DESIGN.md.
enum Samples {
    static let group = #"""
        group "edge" {
          service   = voice
          software  = "kamailio@5.6.3"
          heartbeat = 10s

          machines {
            count    = 3
            platform = local
            labels   = { site = "den" }
          }

          env = {
            SIP_PORT = 5060 + machine.index
            REALM    = "example.net"
            SIP_KEY  = secret("sip-key")
          }

          rollout {
            canary     = 1            # these first; then a person, or `promote = auto`
            batch      = 25%          # or a count
            settle     = 5s           # healthy this long before it counts
            max_failed = 1
            on_failure = rollback     # or pause
            drain      { until = metric("calls") == 0  at_most = 30m  keep = 2 }
            bandwidth  = 20MB/s       # of software delivery, for the group
          }

          rule "deliver what the record says" { when software.digest != group.digest            then deliver }
          rule "restart what fails its check" { when software.health == failing for 10s         then restart  at_most = 3 per 10m }
          rule "replace the lost"             { when machine.state == away for 30s              then replace }
          rule "grow under load"              { when avg(metric("calls")) > 80 for 1m           then scale(+1)  at_most = 1 per 5m }
        }
        """#

    /// The same with the bounds that its last rule needs.
    static let boundedGroup = group.replacing("count    = 3\n", with: "count    = 3\n    min = 1  max = 9\n")

    static let software = #"""
        software "kamailio" {
          version = "5.6.3"
          service = voice
          run     = ["./start.sh"]
          env     = { SIP_PORT = 5060 }
          stop    { signal = TERM  timeout = 10s }
          health  { exec = ["./healthy.sh"]  every = 2s  timeout = 1s  failures = 3  secrets = ["SIP_KEY"] }
          metrics { exec = ["./metrics.sh"]  every = 5s }     # prints "calls 3", one name and number a line
          drain   { exec = ["./drain.sh"] }                    # take no new work; what runs may end
          undrain { exec = ["./undrain.sh"]  timeout = 5s }
          limits  { memory = 512MB  cpu = 200%  processes = 256  files = 65536 }
          capabilities = [net_bind_service]
        }
        """#

    static let smallest = """
        group "g" {
          service = voice
          software = "s@1"
          machines { count = 1  platform = none }
        }
        """

    /// A group with `entries` besides what every group needs; they begin on line 5.
    static func group(_ entries: String) -> String {
        """
        group "g" {
        service = voice
        software = "s@1"
        machines { count = 2  min = 1  max = 9  platform = local }
        \(entries)
        }
        """
    }

    /// A group with one rule, whose clauses stand on line 5 behind nine characters.
    static func rule(_ clauses: String) -> String { group("rule \"r\" {\(clauses)}") }

    static let commented = #"""
        # before all

        # before the group
        group "edge" { # behind the brace
          # the service
          service = voice # what it is


          # one
          # two

          software = "a@1"   # the software
          machines { # of the machines
            count = 2 # two
            # no platform
            platform = none
            # end of machines
          } # behind machines
          env = { # behind env
            A = 1, # first
            # before B
            B = "x" # second
          }
          rule "r" { # why
            when machine.state == away # and
              && machine.index > 0 # so
              for 10s # long
            # then what
            then notify("gone") # tell
            at_most = 3 # per
              per 10m # time
          }
          # end of group
        }
        # end of file
        """#
}

extension String {
    func replacing(_ part: String, with other: String) -> String {
        var result = ""
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            result += rest[..<range.lowerBound] + other
            rest = rest[range.upperBound...]
        }
        return result + rest
    }
}
