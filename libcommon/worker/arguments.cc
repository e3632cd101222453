#include "worker/arguments.h"

#include "base/text.h"

#include <fmt/format.h>

namespace bulkhead
{

static Result<std::string> value_of(std::span<char* const> argv, std::size_t& i, std::string_view option)
{
    if (option.size() > 2)
        return std::string(option.substr(2));
    if (++i >= argv.size())
        return Error{Fault::config, fmt::format("option {} needs a value", option)};
    return std::string(argv[i]);
}

Result<WorkerArguments> parse_worker_arguments(std::span<char* const> argv)
{
    WorkerArguments result;
    const std::string_view path = argv.empty() ? "worker" : argv[0];
    result.program = path.substr(path.rfind('/') + 1);
    result.service = result.program;
    for (std::size_t i = 1; i < argv.size(); ++i) {
        const std::string_view word = argv[i];
        if (word.size() < 2 || word[0] != '-') { // the service's own words, whatever they look like
            result.plain.assign(argv.begin() + static_cast<std::ptrdiff_t>(i), argv.end());
            break;
        }
        switch (word[1]) {
        case 'n': {
            TRY(result.service, value_of(argv, i, word));
            break;
        }
        case 't': {
            TRY(result.type, value_of(argv, i, word));
            break;
        }
        case 'o': {
            TRY(std::string assignment, value_of(argv, i, word));
            result.overrides.push_back(std::move(assignment));
            break;
        }
        case 's': {
            TRY(const std::string digits, value_of(argv, i, word));
            const auto count = parse_unsigned(digits);
            if (!count || *count > 1000)
                return Error{Fault::config, fmt::format("bad descriptor count: {}", digits)};
            result.listeners = static_cast<int>(*count);
            break;
        }
        case 'c':
        case 'u':
        case 'D':
        case 'E':
        case 'S':
        case 'v':
            for (const char letter : word.substr(1)) {
                if (letter == 'c')
                    result.change_root = true;
                else if (letter == 'u')
                    result.unprivileged = true;
                else if (letter == 'D')
                    result.debugger = true;
                else if (letter == 'E')
                    result.explain = true;
                else if (letter == 'S')
                    result.standalone = true;
                else if (letter == 'v')
                    ++result.verbosity;
                else
                    return Error{Fault::config, fmt::format("unknown option: {}", word)};
            }
            break;
        default:
            return Error{Fault::config, fmt::format("unknown option: {}", word)};
        }
    }
    return result;
}

} // namespace bulkhead
