#include "mail/verp.h"

#include "mail/address.h"

#include <fmt/format.h>

namespace bulkhead
{

std::string verp_sender(std::string_view sender, std::string_view delimiters, std::string_view recipient)
{
    if (sender.empty() || delimiters.size() != 2)
        return std::string(sender);
    const AddressParts from = split_address(sender);
    const AddressParts to = split_address(recipient);
    std::string made = fmt::format("{}{}{}", from.local, delimiters[0], to.local);
    if (to.has_domain)
        made += fmt::format("{}{}", delimiters[1], to.domain);
    if (from.has_domain)
        made += fmt::format("@{}", from.domain);
    return made;
}

} // namespace bulkhead
