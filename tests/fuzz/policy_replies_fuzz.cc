// Answers of policy servers: any lines may come, and what they say is an access action.
#include "access_action.h"
#include "policy_service.h"

#include "base/text.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    PolicyReply reply;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        const auto complete = reply.add_line(rest.substr(0, end));
        if (!complete || *complete || end == rest.npos)
            break;
        rest.remove_prefix(end + 1);
    }
    (void)parse_access_action(reply.action());
    (void)parse_policy_server(reply.action(), {});
    return 0;
}
