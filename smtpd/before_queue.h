// smtpd_proxy_filter: a message goes to a filter by SMTP before it is anybody's in the queue,
// and what the filter says of it is what the client hears.  With speed_adjust the filter sees
// the client's message only when it is whole; else step by step.
//
// No smuggling: what the filter gets is written from records, line by line; a bare CR, a bare
// LF or a NUL of the client never reaches it.
#pragma once

#include "message_sink.h"
#include "policy_service.h"

#include "async/stream.h"
#include "smtp/data_writer.h"
#include "smtp/reply.h"

#include <memory>
#include <string>
#include <vector>

namespace bulkhead
{

// What the filter is told of the client (XFORWARD); empty: not known.
struct FilterClient {
    std::string name;
    std::string address;
    std::string port;
    std::string helo;
    std::string ident;
    std::string protocol;
    bool local = false;
};

struct FilterSettings {
    PolicyServer& server; // where it is
    std::string ehlo;
    Milliseconds timeout;
    bool whole_messages; // speed_adjust
};

class BeforeQueueFilter final : public MessageSink
{
public:
    // mail: the arguments of MAIL.  Connects at once unless whole messages are wanted.  An
    // error is one of the filter's connection; a refusal by the filter is in refusal().
    static Task<Result<std::unique_ptr<BeforeQueueFilter>>> open(const FilterSettings& settings,
                                                                 FilterClient client, std::string mail);

    // What the filter has said against the message so far; code 0: nothing.
    const Reply& refusal() const { return refusal_; }

    // arguments: those of RCPT.  The reply is for the client; code 0: it is the server's to say.
    Task<Result<Reply>> add_recipient(std::string arguments);

    // DATA: code 0 when the filter wants the text.
    Task<Result<Reply>> begin_text();

    // All of the text is in records(): the filter's last word.
    Task<Result<Reply>> end_text();

    BeforeQueueFilter* filter() override { return this; }
    const std::string& queue_id() const override { return no_id_; }
    std::string& records() override { return records_; }
    bool wants_sending() const override { return records_.size() >= block_size; }
    Task<Result<>> send_some() override;
    Task<Result<ipc::CleanupResult>> finish(unsigned flags) override;

private:
    static constexpr std::size_t block_size = 32 * 1024;

    BeforeQueueFilter(const FilterSettings& settings, FilterClient client, std::string mail)
        : settings_(settings), client_(std::move(client)), mail_(std::move(mail))
    {
    }
    Task<Result<>> connect();
    Task<Result<>> introduce(const PeerReply& hello);
    Task<Result<PeerReply>> ask(std::string command);
    Task<Result<PeerReply>> read_reply();
    Task<Result<>> play_stored();
    void note_refusal(std::string_view command, const PeerReply& reply);
    Result<> take_text();

    const FilterSettings settings_;
    const FilterClient client_;
    const std::string mail_;
    std::string no_id_;
    std::string records_;
    std::string text_; // as the filter gets it
    DataWriter writer_{0};
    bool in_text_ = false;
    Reply refusal_;
    std::unique_ptr<Stream> stream_;

    // speed_adjust: what is to be said later.
    std::vector<std::string> recipients_;
    UniqueFd store_; // a file without a name
    std::uint64_t stored_ = 0;
};

} // namespace bulkhead
