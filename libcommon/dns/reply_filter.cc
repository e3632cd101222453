#include "dns/reply_filter.h"

#include "base/text.h"
#include "log/log.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead::dns
{

static std::string with_data(const std::string& name, Type type, std::string_view data)
{
    return fmt::format("{} 0 IN {} {}", name, type_name(type), data);
}

std::string record_text(const std::string& name, Type type, const MxRecord& record)
{
    return with_data(name, type, fmt::format("{} {}.", record.preference, record.host));
}

std::string record_text(const std::string& name, Type type, const SrvRecord& record)
{
    return with_data(name, type,
                     fmt::format("{} {} {} {}.", record.priority, record.weight, record.port, record.host));
}

std::string record_text(const std::string& name, Type type, const HostRecord& record)
{
    return with_data(name, type, record.name + '.');
}

std::string record_text(const std::string& name, Type type, const SocketAddress& record)
{
    return with_data(name, type, record.text());
}

Task<std::vector<bool>> ReplyFilter::ignored(std::vector<std::string> records)
{
    std::vector<bool> result(records.size(), false);
    std::vector<std::string> faults;
    const auto look_up = [&] {
        for (std::size_t i = 0; i < records.size(); ++i) {
            const Lookup found = tables_.find(records[i]);
            result[i] = found.is_found() && equals_ignoring_case(trim(found.value()), "IGNORE");
            if (!result[i] && !found.is_absent())
                faults.push_back(fmt::format("{}: {}: {}", parameter_, records[i],
                                             found.is_found() ? "unknown action " + printable(found.value())
                                                              : found.reason()));
        }
    };
    co_await ask(tables_.may_block(), look_up);
    for (const std::string& fault : faults)
        log::warn(fault);
    co_return result;
}

} // namespace bulkhead::dns
