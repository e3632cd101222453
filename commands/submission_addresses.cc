#include "submission_addresses.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/addrlist.h"

namespace bulkhead
{

bool is_one_line(std::string_view text)
{
    return text.find_first_of(std::string_view("\0\r\n", 3)) == text.npos;
}

Result<std::vector<std::string>> recipient_addresses(std::string_view operand)
{
    if (!is_one_line(operand))
        return Error{Fault::malformed, "line break in a recipient address"};
    std::vector<std::string> found;
    const auto list = parse_address_list(operand);
    if (list && list->malformed == 0) {
        for (const ListedAddress& one : list->addresses)
            if (!one.address.empty())
                found.push_back(one.address);
    } else {
        found.push_back(unquote(operand).value_or(std::string(operand)));
    }
    if (found.empty())
        return Error{Fault::malformed, "empty recipient address"};
    return found;
}

Result<std::string> sender_address(std::string_view given)
{
    const std::string_view text = trim(given);
    if (!is_one_line(text))
        return Error{Fault::malformed, "line break in the sender address"};
    if (text.empty() || text == "<>")
        return std::string();
    const auto list = parse_address_list(text);
    if (!list || list->malformed != 0)
        return unquote(text).value_or(std::string(text));
    return list->addresses.empty() ? std::string() : list->addresses.front().address;
}

} // namespace bulkhead
