// Any lines as the variables of a process: what they set are known names with values of one line,
// and nothing of another environment.
#include "base/text.h"
#include "config/variables.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    std::vector<std::string> variables;
    for (const std::string_view line : split({reinterpret_cast<const char*>(data), size}, "\n"))
        if (line.find("_FILE=") == std::string_view::npos) // no files of this machine
            variables.emplace_back(line);
    for (const bool primary : {true, false}) {
        const auto settings = settings_from(variables, primary ? "" : "mail-b", primary);
        if (!settings)
            continue;
        for (const VariableSetting& setting : *settings) {
            if (setting.name.empty() || setting.value.find('\n') != std::string::npos)
                std::abort();
            if (!primary && !setting.variable.starts_with("BULKHEAD_ENV_"))
                std::abort();
        }
    }
    return 0;
}
