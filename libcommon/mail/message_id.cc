#include "mail/message_id.h"

#include <array>
#include <ctime>

namespace bulkhead
{

std::string make_message_id(std::int64_t seconds, std::string_view queue_id, std::string_view myhostname)
{
    const std::time_t when = seconds;
    std::tm parts{};
    ::gmtime_r(&when, &parts);
    std::array<char, 32> stamp{};
    std::string out = "<";
    out.append(stamp.data(), std::strftime(stamp.data(), stamp.size(), "%Y%m%d%H%M%S", &parts));
    return out.append(".").append(queue_id).append("@").append(myhostname).append(">");
}

} // namespace bulkhead
