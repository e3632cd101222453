// TCP services by name: those of known_tcp_ports, then those of services(5).  Reads no
// file: in a jail there is none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class ServicePorts
{
public:
    // "lmtp=24, smtps=submissions=465".  An entry without sense changes nothing; what is wrong with
    // each is returned, to be logged: "known_tcp_ports: in "smtp=x": non-numerical service port".
    [[nodiscard]] std::vector<std::string> add_known(std::string_view list);

    // The text of /etc/services.  Names that are known already keep their port.
    void add_services(std::string_view file);

    // A number or a name.
    std::optional<std::uint16_t> find(std::string_view service) const;

private:
    std::map<std::string, std::uint16_t, std::less<>> ports_;
};

} // namespace bulkhead
