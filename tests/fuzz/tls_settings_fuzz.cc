// Protocol lists, cipher grades, policies and name patterns: any text at all.
#include "tls/settings.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace bulkhead::tls;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string text(reinterpret_cast<const char*>(data), size);
    if (const auto protocols = parse_protocols(text)) {
        bool any = false;
        for (const std::uint16_t version : {0x0300, 0x0301, 0x0302, 0x0303, 0x0304})
            any |= protocols->allows(version);
        if (!any)
            std::abort(); // promised: something is left
    }
    const CipherLists lists{"H", "M", "N"};
    const auto ciphers = cipher_list(lists, "high", parse_matches(text, false));
    if (ciphers && ciphers->find_first_of(" \r\n@") != std::string::npos)
        std::abort();
    const auto policy = parse_policy(text);
    if (policy && !parse_level(level_name(policy->level)))
        std::abort();
    const auto half = text.size() / 2;
    name_matches(text.substr(0, half), text.substr(half));
    same_fingerprint(text.substr(0, half), text.substr(half));
    return 0;
}
