// A pipe service's words, one per line, and a command made of them; then the same bytes as a
// request to who starts commands.
#include "attributes.h"
#include "command_words.h"

#include "base/text.h"
#include "delivery/command_starter.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::vector<std::string> arguments;
    for (const std::string_view line : split(text, "\n"))
        arguments.emplace_back(line);
    PipeMessage message;
    message.recipients = {{"user+ext@example.test", std::string(text.substr(0, 100))}};
    message.sender = text.substr(0, 100);
    if (const auto attributes = PipeAttributes::parse(arguments))
        (void)command_words(*attributes, message, "+");
    if (const auto command = decode_command(text))
        (void)encode_command(*command);
    return 0;
}
