// Lines of the authentication protocol at both ends, stored credentials, and whole server
// logins: whatever comes, an answer or an error.
#include "sasl/auth_protocol.h"
#include "sasl/base64.h"
#include "sasl/credentials.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace bulkhead::sasl;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    if (const auto answer = parse_auth_answer(line)) {
        // What was understood can be said again, and is understood the same way.
        const std::string again = auth_line(*answer);
        if (!again.empty()) {
            const auto second = parse_auth_answer(std::string_view(again).substr(0, again.size() - 1));
            if (!second || second->kind != answer->kind || second->user != answer->user)
                std::abort();
        }
    }
    if (const auto request = parse_auth_request(line)) {
        const std::string again = auth_line(*request);
        if (!again.empty() && (again.size() < auth_line_limit)) {
            const auto second = parse_auth_request(std::string_view(again).substr(0, again.size() - 1));
            if (!second || second->data != request->data || second->remote_address != request->remote_address)
                std::abort();
        }
    }
    if (const auto bytes = decode_base64(line); bytes && encode_base64(*bytes) != line)
        std::abort();
    if (const auto credentials = parse_credentials(line);
        credentials && !parse_credentials(credentials->text()))
        std::abort();
    return 0;
}
