#include "conversation.h"

#include "base/text.h"
#include "log/log.h"
#include "table/ask.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t login_limit = 10'000; // of one connection at once
constexpr std::size_t unsent_limit = 4U << 20;

std::string random_hex()
{
    std::array<unsigned char, 16> bytes{};
    (void)::getrandom(bytes.data(), bytes.size(), 0);
    std::string hex;
    for (const unsigned char byte : bytes)
        hex += fmt::format("{:02x}", byte);
    return hex;
}

sasl::AuthAnswer answer_of(sasl::AuthAnswer::Kind kind)
{
    sasl::AuthAnswer answer;
    answer.kind = kind;
    return answer;
}

} // namespace

void Conversation::say(const sasl::AuthAnswer& answer)
{
    session_.stream.write(sasl::auth_line(answer));
    session_.stream.send_what_fits();
}

Task<> Conversation::greet()
{
    using Kind = sasl::AuthAnswer::Kind;
    offered_ = service_.mechanisms;
    if (offered_.empty()) {
        UserStore& users = service_.users;
        const auto find = [&] { return users.abilities(); };
        const sasl::UserAbilities abilities = co_await ask(true, find);
        offered_ = sasl::server_mechanisms(abilities);
    }
    sasl::AuthAnswer version = answer_of(Kind::version);
    version.number = sasl::auth_version;
    Stream& stream = session_.stream;
    stream.write(sasl::auth_line(version));
    for (const sasl::Mechanism& one : offered_) {
        sasl::AuthAnswer offer = answer_of(Kind::mechanism);
        offer.mechanism = one;
        stream.write(sasl::auth_line(offer));
    }
    static std::uint32_t connections = 0;
    stream.write(fmt::format("SPID\t{}\nCUID\t{}\nCOOKIE\t{}\n", ::getpid(), ++connections, random_hex()));
    stream.write(sasl::auth_line(answer_of(Kind::done)));
}

Task<> Conversation::run()
{
    co_await greet();
    Stream& stream = session_.stream;
    while (stream.unsent() < unsent_limit) {
        session_.at_rest = logins_.empty();
        const auto line = co_await stream.read_line(sasl::auth_line_limit);
        session_.at_rest = false;
        if (!line)
            break;
        auto request = line->complete ? sasl::parse_auth_request(line->text)
                                      : Result<sasl::AuthRequest>(Error(Fault::limit, "line too long"));
        const auto obeyed = request ? obey(*std::move(request)) : Result<>(request.error());
        if (!obeyed) {
            log::warn("request refused: " + obeyed.error().context);
            break;
        }
    }
    for (auto& [id, login] : logins_)
        login.cancelled = true;
    co_await steps_.empty();
}

Result<> Conversation::obey(sasl::AuthRequest request)
{
    using Kind = sasl::AuthRequest::Kind;
    const auto found = logins_.find(request.id);
    switch (request.kind) {
    case Kind::version:
        if (request.number != sasl::auth_version)
            return Error{Fault::malformed, fmt::format("protocol version {}", request.number)};
        return {};
    case Kind::begin:
        if (found != logins_.end())
            return Error{Fault::malformed, fmt::format("login {} is under way already", request.id)};
        return begin(std::move(request));
    case Kind::go_on:
        if (found == logins_.end() || found->second.busy)
            return Error{Fault::malformed, fmt::format("login {} does not wait for anything", request.id)};
        steps_.spawn(step, this, request.id, std::move(request.data));
        return {};
    case Kind::cancel:
        if (found != logins_.end() && found->second.busy)
            found->second.cancelled = true;
        else if (found != logins_.end())
            logins_.erase(found);
        return {};
    case Kind::process:
    case Kind::other:
        break;
    }
    return {};
}

Result<> Conversation::begin(sasl::AuthRequest request)
{
    sasl::AuthAnswer refusal = answer_of(sasl::AuthAnswer::Kind::fail);
    refusal.id = request.id;
    const auto same = [&](const sasl::Mechanism& one) { return one.name == request.mechanism; };
    if (std::ranges::none_of(offered_, same)) {
        refusal.reason = "Invalid authentication mechanism";
        say(refusal);
        return {};
    }
    if (logins_.size() >= login_limit) {
        refusal.temporary = true;
        refusal.reason = "too many logins at once";
        say(refusal);
        return {};
    }
    Login& login = logins_[request.id];
    login.exchange = sasl::begin_login(request.mechanism, service_.users);
    login.client = std::move(request.remote_address);
    steps_.spawn(step, this, request.id, std::move(request.data));
    return {};
}

Task<sasl::LoginStep> Conversation::take_turn(Login& login, const std::optional<std::string>& response)
{
    const auto turn = co_await service_.turns.acquire();
    const auto work = [&] { return login.exchange->step(response); };
    co_return co_await ask(true, work);
}

Task<> Conversation::step(Conversation* self, std::uint32_t id, std::optional<std::string> response)
{
    using Kind = sasl::LoginStep::Kind;
    Login& login = self->logins_.at(id);
    login.busy = true;
    sasl::LoginStep result = co_await self->take_turn(login, response);
    sasl::AuthAnswer answer;
    answer.id = id;
    switch (result.kind) {
    case Kind::go_on:
        answer.kind = sasl::AuthAnswer::Kind::go_on;
        answer.data = std::move(result.challenge);
        break;
    case Kind::granted:
        answer.kind = sasl::AuthAnswer::Kind::ok;
        answer.user = std::move(result.user);
        break;
    case Kind::broken:
        log::warn("login: " + printable(result.reason));
        answer.kind = sasl::AuthAnswer::Kind::fail;
        answer.user = std::move(result.user);
        answer.temporary = true;
        break;
    case Kind::denied:
        answer.kind = sasl::AuthAnswer::Kind::fail;
        answer.user = std::move(result.user);
        answer.reason = std::move(result.reason);
        break;
    }
    if (result.kind == Kind::denied && !login.cancelled) {
        const Milliseconds penalty = self->service_.penalties.failure(login.client, SteadyClock::now());
        co_await sleep_for(penalty);
    }
    login.busy = false;
    const bool wanted = !login.cancelled;
    if (result.kind != Kind::go_on || !wanted)
        self->logins_.erase(id);
    if (wanted)
        self->say(answer);
    if (self->logins_.empty())
        self->session_.at_rest = true;
}

} // namespace bulkhead
