// smtp_dns_reply_filter, smtpd_dns_reply_filter: tables that name records which shall not count.
// They are asked for each record as a zone file has it, "host.test 0 IN MX 10 mx.test."; the time
// to live is not known here.
#pragma once

#include "async/task.h"
#include "dns/resolver.h"
#include "table/table.h"

#include <string>
#include <vector>

namespace bulkhead::dns
{

std::string record_text(const std::string& name, Type type, const MxRecord& record);
std::string record_text(const std::string& name, Type type, const SrvRecord& record);
std::string record_text(const std::string& name, Type type, const HostRecord& record);
std::string record_text(const std::string& name, Type type, const SocketAddress& record);

class ReplyFilter
{
public:
    ReplyFilter() = default;

    // The tables that a parameter (Param<std::string>) names.
    template <typename Parameter>
    explicit ReplyFilter(const Parameter& parameter)
        : tables_(TableList::open(parameter)), parameter_(parameter.name())
    {
    }

    // Takes out what the tables have IGNORE for.  An answer of which nothing is left says that there
    // is no such record.
    template <typename Record> Task<> apply(const std::string& name, Type type, Answer<Record>& answer)
    {
        if (tables_.empty() || answer.records.empty())
            co_return;
        std::vector<std::string> texts;
        for (const Record& record : answer.records)
            texts.push_back(record_text(name, type, record));
        const std::vector<bool> which = co_await ignored(std::move(texts));
        std::size_t i = 0;
        std::erase_if(answer.records, [&](const Record&) { return which[i++]; });
        if (answer.records.empty())
            answer.status = Status::no_data;
    }

    bool is_stale() const { return tables_.is_stale(); }

private:
    Task<std::vector<bool>> ignored(std::vector<std::string> records);

    TableList tables_;
    std::string parameter_;
};

} // namespace bulkhead::dns
