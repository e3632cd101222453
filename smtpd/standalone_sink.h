// smtpd -S (sendmail -bs): a message goes to the maildrop queue through a postdrop
// process, as every local submission does.  Nothing of this runs in the jail.
#pragma once

#include "message_sink.h"

#include "async/stream.h"

#include <sys/types.h>

#include <memory>
#include <string>

namespace bulkhead
{

class PostdropSink final : public MessageSink
{
public:
    // Starts postdrop from this folder and waits for the queue id.
    static Task<Result<std::unique_ptr<MessageSink>>> open(std::string command_directory);
    ~PostdropSink() override;

    const std::string& queue_id() const override { return queue_id_; }
    std::string& records() override { return records_; }
    bool wants_sending() const override { return records_.size() >= block_size; }
    Task<Result<>> send_some() override;
    Task<Result<ipc::CleanupResult>> finish(unsigned flags) override;
    bool wants_client_attributes() const override { return false; }

private:
    static constexpr std::size_t block_size = 32 * 1024;

    PostdropSink(UniqueFd socket, pid_t child) : stream_(std::move(socket)), child_(child) {}
    int reap();

    Stream stream_; // postdrop's standard input and output
    pid_t child_;
    std::string queue_id_;
    std::string records_;
};

// The value behind a name in postdrop's answers, whose names and values end in NUL
// ("queue_id\0ABC\0") or stand as lines ("queue_id=ABC\n").  Empty: not there, or not
// complete yet.
std::string_view find_postdrop_answer(std::string_view answers, std::string_view name);

} // namespace bulkhead
