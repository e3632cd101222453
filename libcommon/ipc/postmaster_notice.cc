#include "ipc/postmaster_notice.h"

#include "base/clock.h"
#include "base/text.h"
#include "ipc/cleanup.h"
#include "mail/address.h"
#include "mail/date.h"
#include "spool/record.h"

#include <fmt/format.h>

namespace bulkhead::ipc
{

namespace
{

std::string records_of(const PostmasterNotice& notice, const std::string& queue_id)
{
    const WallTime now = WallTime::now();
    const bool wide = has_8bit(notice.text) || has_8bit(notice.subject);
    std::string records;
    append_record(records, RecordType::arrival_time, fmt::format("{} {}", now.seconds, now.microseconds));
    append_attribute(records, "rewrite_context", "local");
    append_record(records, RecordType::sender, notice.sender);
    append_attribute(records, "encoding", wide ? "8bit" : "7bit");
    append_record(records, RecordType::recipient, notice.recipient);
    append_record(records, RecordType::message_start, "");
    const auto line = [&](std::string_view text) { append_text(records, text); };
    line(fmt::format("Received: by {} ({})", notice.myhostname, notice.mail_name));
    line(fmt::format("\tid {}; {}", queue_id, rfc5322_date(now.seconds)));
    line(fmt::format("From: Mail Delivery System <MAILER-DAEMON@{}>", notice.myhostname));
    line(fmt::format("To: Postmaster <{}>", printable(external_form(notice.recipient), true)));
    line("Subject: " + printable(notice.subject, true));
    line("Auto-Submitted: auto-generated");
    line("MIME-Version: 1.0");
    line("Content-Type: text/plain; charset=utf-8");
    line(wide ? "Content-Transfer-Encoding: 8bit" : "Content-Transfer-Encoding: 7bit");
    line("");
    for (std::string_view rest = notice.text; !rest.empty();) {
        const auto end = rest.find('\n');
        line(rest.substr(0, end));
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    }
    append_record(records, RecordType::extracted_start, "");
    append_record(records, RecordType::end, "");
    return records;
}

} // namespace

Task<Result<std::string>> send_postmaster_notice(Service& cleanup, PostmasterNotice notice)
{
    using namespace cleanup_flag;
    constexpr unsigned flags = internal | map_addresses | rewrite_local;
    CO_TRY(CleanupStream stream, co_await CleanupStream::open(cleanup, flags));
    stream.records() += records_of(notice, stream.queue_id());
    CO_TRY(const CleanupResult result, co_await stream.finish());
    if (!result.ok()) {
        const CleanupVerdict why = verdict_of(result);
        co_return Error(Fault::refused, result.reason.empty() ? std::string(why.text) : result.reason);
    }
    co_return stream.queue_id();
}

} // namespace bulkhead::ipc
