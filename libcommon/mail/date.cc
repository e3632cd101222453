#include "mail/date.h"

#include <array>
#include <ctime>

namespace bulkhead
{

namespace
{

std::string local_time(std::int64_t seconds, const char* format)
{
    const std::time_t when = seconds;
    std::tm parts{};
    if (::localtime_r(&when, &parts) == nullptr)
        return {};
    std::array<char, 100> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

} // namespace

// The programs never leave the C locale, so the names of days stay English.
std::string rfc5322_date(std::int64_t seconds)
{
    return local_time(seconds, "%a, %d %b %Y %H:%M:%S %z (%Z)");
}

std::string listing_date(std::int64_t seconds)
{
    return local_time(seconds, "%a %b %e %H:%M:%S");
}

std::string asctime_date(std::int64_t seconds)
{
    return local_time(seconds, "%a %b %e %H:%M:%S %Y");
}

} // namespace bulkhead
