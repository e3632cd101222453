// -E: what becomes of an envelope: its sender as it is rewritten, and the recipients that its
// recipient is expanded into.
#include "cleanup.h"

#include "ipc/explain.h"
#include "routing/open.h"
#include "spool/record.h"
#include "table/decision.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

class LocalCompleter final : public AddressCompleter
{
public:
    explicit LocalCompleter(ipc::RewriteSource& source) : client_(source) {}
    Task<Result<std::string>> complete(ipc::RewriteContext context, std::string address) override
    {
        co_return co_await client_.rewrite(context, std::move(address));
    }

private:
    ipc::RewriteClient client_;
};

// The records of the shortest message there is.
std::string message_of(std::string_view sender, std::string_view recipient)
{
    std::string records;
    append_record(records, RecordType::sender, sender);
    append_record(records, RecordType::recipient, recipient);
    append_record(records, RecordType::message_start, {});
    append_record(records, RecordType::text, {});
    append_record(records, RecordType::extracted_start, {});
    append_record(records, RecordType::end, {});
    return records;
}

} // namespace

Task<ipc::Message> Cleanup::explain(const ipc::Message& question)
{
    const auto rewriting = LocalRewriting::open(config().config_directory());
    if (!rewriting)
        co_return ipc::failure(rewriting.error().context);
    LocalCompleter completer(**rewriting);
    AssemblyPolicy policy{params_, maps_, completer, common().myhostname()};
    const auto asked = question.number("flags");
    const unsigned flags = asked ? static_cast<unsigned>(*asked) : ipc::cleanup_flag::map_addresses;
    Assembler assembler(policy, "NOQUEUE", flags & ipc::cleanup_flag::map_addresses, WallTime::now(), true);
    std::string records =
        message_of(question.find("sender").value_or(""), question.find("recipient").value_or(""));
    co_await assembler.feed(std::move(records));
    co_await assembler.finish();
    ipc::Message answer(ipc::Kind::ok);
    if (!assembler.result().ok())
        answer.add("problem",
                   assembler.result().reason.empty() ? "try again later" : assembler.result().reason);
    answer.add("sender", assembler.sender());
    for (const Assembler::Written& written : assembler.written())
        answer.add("recipient", written.address);
    if (!params_.always_bcc().empty())
        tell_decision({params_.always_bcc.name(), "", "", params_.always_bcc()});
    co_return answer;
}

} // namespace bulkhead
