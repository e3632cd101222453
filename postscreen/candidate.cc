#include "candidate.h"

#include "log/log.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

std::string Candidate::label() const
{
    return fmt::format("[{}]:{}", ends.client_address, ends.client_port);
}

std::string Candidate::elapsed() const
{
    const std::chrono::duration<double> time = SteadyClock::now() - since;
    return format_delay(time.count());
}

void Candidate::fail(Test test)
{
    due.remove(test);
    passed.remove(test);
    ignored = true;
    results[test] = TestResults::not_passed;
}

void Candidate::pass(Test test, std::int64_t until)
{
    due.remove(test);
    passed.add(test);
    results[test] = std::max(results[test], until);
}

std::string escaped(std::string_view bytes)
{
    constexpr std::size_t shown = 100;
    std::string text;
    for (const char c : bytes.substr(0, shown)) {
        if (c == '\r')
            text += "\\r";
        else if (c == '\n')
            text += "\\n";
        else if (c == '\t')
            text += "\\t";
        else if (c == '\\')
            text += "\\\\";
        else if (c >= ' ' && c <= '~')
            text += c;
        else
            text += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
    return text;
}

} // namespace bulkhead
