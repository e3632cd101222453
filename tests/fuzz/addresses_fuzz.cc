// Paths, address lists and address literals from hostile bytes: no crash, and
// the promises that the callers build on.
#include "mail/address.h"
#include "mail/addrlist.h"
#include "mail/dsn.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

static void check_path(std::string_view text, const PathOptions& options)
{
    const auto leading = parse_leading_path(text, options);
    if (!leading)
        return;
    const std::string& address = leading->path.address;
    for (const char c : address)
        require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    require(address.size() <= local_part_limit + 1 + domain_limit);
    // What we write is what we read.
    const auto again = parse_path('<' + external_form(address) + '>', {true, true});
    require(again && again->address == address);
    const auto plain = unquote(external_form(address));
    require(plain && *plain == address);
}

static void check_list(std::string_view text)
{
    const auto list = parse_address_list(text);
    if (!list)
        return;
    std::size_t last = 0;
    for (const auto& entry : list->addresses) {
        require(entry.begin >= last && entry.begin <= entry.end && entry.end <= text.size());
        last = entry.end;
        // Rewritten in place, the same address stands there.
        if (entry.address.empty())
            continue;
        const std::string spec = '<' + external_form(entry.address) + '>';
        const auto again = parse_address_list(spec);
        require(again && again->addresses.size() == 1 && again->addresses[0].address == entry.address);
    }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_path(text, {false, false});
    check_path(text, {false, true});
    check_path(text, {true, false});
    check_list(text);
    (void)literal_address(text);
    (void)unquote(text);
    (void)split_extension(text, "+-");
    const auto orcpt = parse_orcpt(text, true);
    if (orcpt)
        require(parse_orcpt(encode_orcpt(orcpt->text())) || encode_orcpt(orcpt->text()).size() > orcpt_limit);
    return 0;
}
