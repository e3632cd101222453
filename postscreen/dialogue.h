// The dialogue with a client that is not let in: because it has failed a test, or because a test
// needs a dialogue to look at.  No mail comes through here: each recipient is refused, for now or
// for good.
#pragma once

#include "candidate.h"
#include "service.h"

#include "async/stream.h"
#include "async/task.h"
#include "smtp/command.h"
#include "smtp/reply.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class Dialogue
{
public:
    // at_rest: of the session, true while the client has the word.
    Dialogue(Stream& client, bool& at_rest, ScreenService& service, Candidate& candidate);

    Task<> run();

private:
    Task<bool> obey(std::string line, bool bare_newline);
    Task<bool> speaks_other_protocol(const CommandLine& line, std::string text);
    void look_for_bare_newline(std::string_view text);
    void look_for_pipelining();
    // True: it ends the session, with this reply.
    bool violated(Test test, Action action, Reply farewell);

    Task<Reply> start_tls(std::string_view arguments);
    bool must_start_tls(const CommandLine& line) const;
    Reply answer(const CommandLine& line);
    Reply hello(const CommandLine& line);
    Reply mail(std::string_view arguments);
    Reply rcpt(std::string_view arguments);
    Reply vrfy(std::string_view arguments);
    void pass_deep_tests();
    bool offers(std::string_view keyword) const;
    CommandOptions options() const;

    Task<> find_discarded_keywords();
    Task<Result<std::string>> filter(std::string line);
    Task<> say(Reply reply);
    Task<> end_with(std::string_view what, Reply farewell);
    Task<> lost(const Error& error);

    Stream& stream_;
    bool& at_rest_;
    ScreenService& service_;
    Candidate& candidate_;
    std::vector<std::string> discarded_; // EHLO keywords
    std::string where_ = "CONNECT";
    bool in_mail_ = false;
    bool utf8_ = false; // of this transaction
};

} // namespace bulkhead
