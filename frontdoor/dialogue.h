// One client's dialogue up to the step that decides who gets it (DESIGN of the front door:
// docs/frontdoor.md).  What is answered here is what every environment would answer; what may be
// refused for a reason of policy is answered by the one that is chosen.
#pragma once

#include "front_door.h"

#include "async/stream.h"
#include "async/task.h"
#include "ipc/hand_over.h"
#include "smtp/command.h"
#include "smtp/reply.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class Dialogue
{
public:
    Dialogue(Stream& client, DoorService& service);

    // The whole of it; afterwards the client is somebody else's, or has been told to go.
    Task<> run();

private:
    using Stage = ipc::SessionState::Stage;

    // ---- before the first command ----
    Task<> read_proxy_header();
    Task<bool> is_one_of(const MatchList& clients);
    void tell_of(const struct ProxyHeader& header);
    Task<> begin();
    Task<bool> connects_too_often();
    Task<> end_counting();

    // ---- commands ----
    Task<> obey(std::string line);
    Task<Reply> answer(const CommandLine& line, std::string text);
    Reply hello(const CommandLine& line, std::string text);
    Task<Reply> starttls(std::string_view arguments);
    Task<Reply> auth(std::string arguments);
    Task<Reply> mail(std::string_view arguments, std::string text);
    Task<Reply> rcpt(std::string_view arguments, std::string text);
    Task<Reply> xclient(std::string_view arguments, std::string text);
    Task<Reply> unknown(const CommandLine& line);
    bool must_start_tls() const;

    // ---- encryption ----
    Task<bool> choose_by_server_name();
    Task<> shake_hands();
    bool offers_starttls() const;
    std::string auth_offer() const;

    // ---- decisions ----
    // True: this step has settled who has the session; it is over here, well or not.
    Task<bool> settle(Step step, std::vector<std::string> keys, Stage stage, std::string pending);
    Task<bool> settle_rest(Stage stage, std::string pending);
    Task<> give(std::string environment, std::string_view why, Stage stage, std::string pending);
    Task<> stay_behind();
    static Task<> answer_questions(Dialogue* self);

    void say(const Reply& reply);
    void end_with(const Error& error);
    std::string label() const;

    Stream& stream_;
    DoorService& service_;
    ipc::SessionState state_;           // what is known so far
    std::vector<std::string> claims_;   // XCLIENT commands
    std::string given_to_;              // the environment that has the session
    std::unique_ptr<Stream> giver_end_; // where it may ask; null: it does not
    UniqueFd carried_;                  // its end of a session that is carried
    std::string where_ = "CONNECT";
    bool extended_ = false;
    bool greeted_ = false; // HELO or EHLO
    bool in_mail_ = false;
    std::string counted_as_; // empty: it is not counted
    bool may_xclient_ = false;
    bool closing_ = false; // no more commands here
    bool gone_ = false;    // the client is another's, or not there
    bool broken_ = false;  // the last decision could not be made
    int errors_ = 0;
    int junk_ = 0;
};

} // namespace bulkhead
