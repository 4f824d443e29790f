/// Of all programs of Trunkline; they are released together.
package enum Version {
    package static let text = "0.1.0"
}
