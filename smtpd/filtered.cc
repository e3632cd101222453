// A session's part in smtpd_proxy_filter: what the filter is told, and what the client hears.
#include "session.h"

#include "before_queue.h"

#include "log/log.h"
#include "mail/logged_address.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

Reply filter_failed()
{
    return Reply(451, "4.3.0", "Error: queue file write error");
}

} // namespace

Task<Result<>> SmtpSession::open_filter(bool local)
{
    const SmtpdParams& params = service_.params;
    const auto& options = params.proxy_options();
    const FilterSettings settings{*service_.before_queue, params.proxy_ehlo(), params.proxy_timeout(),
                                  std::ranges::find(options, "speed_adjust") != options.end()};
    FilterClient client{
        peer_.name, peer_.address, std::to_string(peer_.port), helo_, "", std::string(protocol()), local};
    if (forwarded_.told)
        client = FilterClient{forwarded_.name,
                              forwarded_.address,
                              forwarded_.port,
                              forwarded_.helo,
                              forwarded_.ident,
                              forwarded_.protocol,
                              local};
    std::string mail = transaction_->arguments;
    auto opened = co_await BeforeQueueFilter::open(settings, std::move(client), std::move(mail));
    if (!opened)
        co_return opened.error();
    transaction_->sink = *std::move(opened);
    co_return Result<>();
}

// Code 0: the text may come.
Task<Reply> SmtpSession::begin_filtered()
{
    BeforeQueueFilter* const filter = transaction_->sink->filter();
    if (filter == nullptr)
        co_return Reply();
    auto reply = co_await filter->begin_text();
    if (reply)
        co_return *std::move(reply);
    log::warn(reply.error().context);
    co_return filter_failed();
}

// The filter has the message, and with it the word.
Task<Reply> SmtpSession::finish_filtered(bool discard)
{
    Transaction& transaction = *transaction_;
    Reply reply(250, "2.0.0", "Ok: discarded");
    if (!discard) {
        auto said = co_await transaction.sink->filter()->end_text();
        if (!said)
            log::warn(said.error().context);
        reply = said ? *std::move(said) : filter_failed();
    }
    const AccessSubject about = subject(where_);
    const std::string_view what = reply.ok() ? "proxy-accept" : "proxy-reject";
    std::string line = fmt::format("{}: {}: {};", what, where_, reply.summary());
    if (about.sender)
        line += fmt::format(" from=<{}>", logged_form(*about.sender));
    if (about.recipient)
        line += fmt::format(" to=<{}>", logged_form(*about.recipient));
    line += fmt::format(" proto={}", about.protocol);
    if (!helo_.empty())
        line += fmt::format(" helo=<{}>", helo_);
    log::info(line);
    if (reply.ok())
        errors_ = junk_ = 0;
    co_return reply;
}

} // namespace bulkhead
