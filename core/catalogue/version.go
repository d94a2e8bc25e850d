package catalogue

// HostVersion is the version of this host, which the host range of a manifest is compared with.
const HostVersion = "1.1.0"
