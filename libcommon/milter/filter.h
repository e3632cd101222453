// One mail filter for one SMTP session: the connection, what was agreed upon, and where in
// the protocol it is.  smtpd tells it the commands; cleanup takes over for the content of
// each message, with the same connection (docs/milters.md).
#pragma once

#include "async/stream.h"
#include "async/task.h"
#include "base/unique_fd.h"
#include "milter/settings.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::milter
{

// What a filter says of a command or of a message.
struct Answer {
    enum class Kind {
        go_on,
        refuse,  // reply; the filter's own, or the one of r and t
        discard, // take the message, keep nothing
        hold,    // the filter cannot be had, and mail is to wait for a person
    };
    Kind kind = Kind::go_on;
    Reply reply;

    bool refused() const { return kind == Kind::refuse; }
    bool closes() const { return refused() && reply.code == 421; }
};

// The client of a session.
struct Client {
    std::string name;
    std::string address; // without brackets; empty: local
    unsigned port = 0;
    bool v6 = false;
};

class Filter
{
public:
    // settings and macros outlive the filter.
    Filter(const Settings& settings, const Macros& macros);
    ~Filter(); // says goodbye, as far as that goes without waiting

    // Events in the order of a session.  arguments: "<a@b>", "SIZE=5".
    Task<Answer> connect(const Client& client, const MacroValue& value);
    Task<Answer> helo(std::string name, const MacroValue& value);
    Task<Answer> mail(std::vector<std::string> arguments, const MacroValue& value);
    Task<Answer> rcpt(std::vector<std::string> arguments, const MacroValue& value);
    Task<Answer> data(const MacroValue& value);
    Task<Answer> unknown(std::string command, const MacroValue& value);

    // The content.  value is without leading blank, with '\n' between its lines.
    Task<Answer> header(std::string name, std::string value_text, const MacroValue& value);
    Task<Answer> end_of_headers(const MacroValue& value);
    Task<Answer> body(std::string_view chunk); // at most max_body_chunk bytes
    Task<Answer> end_of_message(const MacroValue& value, std::vector<Edit>& edits);

    // The message is over; one that was told of and not finished is taken back.
    void end_message();

    bool wants_message() const { return state_ == State::ready && message_ != Message::accepted; }
    bool wants_headers() const;
    bool wants_body() const;
    bool is_broken() const { return state_ == State::broken; }
    void break_off(); // the connection cannot be used any more
    const std::string& name() const { return settings_->name; }

    // The state for another process, and what that process makes of it.
    int fd() const { return stream_ ? stream_->fd() : -1; }
    std::string exported() const;
    static Result<std::unique_ptr<Filter>> imported(std::string_view state, UniqueFd fd, const Macros& macros,
                                                    std::vector<std::unique_ptr<Settings>>& storage);
    // The same connection stays open in the process that exported it.
    void leave_open() { says_goodbye_ = false; }
    void message_was_finished() { message_ = Message::none; }

private:
    enum class State { fresh, ready, accepting, refusing, broken };
    enum class Message { none, open, accepted };

    struct Packet {
        char command = 0;
        std::string data;
    };

    Task<Result<>> open();
    Task<Result<UniqueFd>> dial();
    Task<Result<>> negotiate();
    Task<Result<Packet>> read_packet(std::string_view what);
    Task<Answer> event(char command, std::string data, std::uint32_t not_wanted, std::uint32_t silent,
                       Seconds time);
    Task<Answer> event_with_macros(char command, std::string data, Stage stage, const MacroValue& value,
                                   std::uint32_t not_wanted, std::uint32_t silent, Seconds time);
    Result<std::optional<Answer>> judge(const Packet& packet, char command);
    Answer failed(const Error& error);
    Answer default_answer() const;
    void send_macros(char command, Stage stage, const MacroValue& value);
    bool has(std::uint32_t option_bit) const { return (agreed_.offer.options & option_bit) != 0; }
    bool is_active() const { return state_ == State::ready && message_ != Message::accepted; }

    const Settings* settings_;
    const Macros* macros_;
    std::unique_ptr<Stream> stream_;
    Agreement agreed_;
    State state_ = State::fresh;
    Message message_ = Message::none;
    Answer sticky_; // of a session that is refused as a whole
    bool skips_body_ = false;
    bool says_goodbye_ = true;
};

} // namespace bulkhead::milter
