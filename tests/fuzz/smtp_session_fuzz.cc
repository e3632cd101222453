// Any bytes from a server of the SMTP client, in any pieces: the session ends, each recipient has one
// outcome with a code that suits it, nothing is taken for sent without a text and its end mark, and
// what the client says has no bare CR or LF.
//
// An input: a byte that chooses the settings, then pieces, each a byte of length in front.
#include "session.h"

#include "async/scope.h"
#include "async/wait.h"
#include "base/text.h"
#include "config/config.h"
#include "config/main_cf.h"
#include "log/log.h"
#include "os/files.h"
#include "spool/envelope.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;
using ipc::DeliveryOutcome;

namespace
{

void check(bool good)
{
    if (!good)
        std::abort();
}

template <typename Value> Value must(Result<Value> result)
{
    check(static_cast<bool>(result));
    return *std::move(result);
}

// What all inputs with the same settings share.
struct World {
    World(Protocol protocol, const std::string& settings)
        : config(must(Config::from(must(MainCf::parse(settings, "main.cf")), "/"))), params(protocol)
    {
        check(static_cast<bool>(params.load(config)));
        params.helo_name.set("client.test");
        tls = must(ClientTls::open(params.tls, nullptr));
        sasl = must(ClientSasl::open(params.sasl));
        replies = TableList::open(params.reply_filter());
    }

    Config config;
    SmtpParams params;
    std::unique_ptr<ClientTls> tls;
    std::unique_ptr<ClientSasl> sasl;
    TableList replies;
    bool encrypts = false;
    bool logs_in = false;
    bool probes = false;
};

World& world_of(unsigned choice)
{
    static World* const worlds[] = {
        new World(Protocol::smtp, ""),
        new World(Protocol::lmtp, ""),
        new World(Protocol::smtp, "smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options =\n"),
        new World(Protocol::smtp, "smtp_address_verify_target = data\n"),
        new World(Protocol::smtp, "smtp_tls_security_level = may\nsmtp_skip_quit_response = no\n"),
        new World(Protocol::smtp, "smtp_reply_filter = inline:{{550 busy=450 busy}, {250 no=554 no}, "
                                  "{250 junk=x}}\nsmtp_send_xforward_command = yes\n"
                                  "smtp_discard_ehlo_keywords = pipelining\nsmtp_skip_5xx_greeting = no\n"),
    };
    worlds[2]->logs_in = true;
    worlds[3]->probes = true;
    worlds[4]->encrypts = true;
    return *worlds[choice % std::size(worlds)];
}

class FixedText final : public MessageText
{
public:
    Task<Result<bool>> read(std::string& out) override
    {
        const bool more = blocks_++ == 0;
        out += more ? "Subject: x\r\n\r\n..dot\r\n"
                    : "b\xc3\xb6"
                      "dy\r\n.\r\n";
        co_return more;
    }

private:
    int blocks_ = 0;
};

struct Talk {
    World& world;
    std::vector<std::string_view> pieces;
    UniqueFd ours;
    UniqueFd theirs;
    UniqueFd held; // ours as well: a close with unread bytes would take away what the server has not read
    std::string heard;
    std::size_t texts_sent = 0; // transactions with a recipient that was
    int running = 2;
    void one_less()
    {
        if (--running == 0)
            Loop::current().stop();
    }
};

Task<> play_server(Talk* talk)
{
    Stream stream(std::move(talk->theirs));
    stream.set_timeout(Milliseconds(5000));
    for (const std::string_view piece : talk->pieces) {
        stream.write(piece);
        const auto sent = co_await stream.flush();
        if (!sent)
            break;
        for (int turn = 0; turn < 4; ++turn)
            co_await yield_turn();
    }
    ::shutdown(stream.fd(), SHUT_WR);
    for (;;) {
        talk->heard += stream.buffered();
        stream.consume(stream.buffered().size());
        const auto more = co_await stream.fill();
        if (!more)
            break;
    }
    stream.close();
    talk->one_less();
}

void check_status(const DeliveryStatus& status)
{
    const bool is_sent = status.outcome == DeliveryOutcome::sent;
    check(is_sent == status.dsn.starts_with('2'));
    check(status.outcome != DeliveryOutcome::bounced || status.dsn.starts_with('5'));
    check(printable(status.reason, true) == status.reason);
    check(!status.reason.empty());
}

ipc::DeliveryRequest request_of(const World& world)
{
    ipc::DeliveryRequest request;
    request.queue_id = "ABC";
    request.sender = "s@a.test";
    request.encoding = "8bit";
    request.content_length = 100;
    if (world.probes)
        request.trace_flags = trace_flag::probe;
    for (const char* const address : {"r1@b.test", "r2@b.test"})
        request.recipients.emplace_back().address = address;
    return request;
}

Task<> play_client(Talk* talk)
{
    World& world = talk->world;
    Peer peer("mx.test", *SocketAddress::parse("192.0.2.1", 25));
    SmtpSession session(std::move(talk->ours), std::move(peer), world.params);
    SessionHabits habits;
    habits.pix_workarounds = {"disable_esmtp"};
    habits.discarded = world.params.discard_ehlo_keywords();
    habits.may_be_pix = true;
    habits.replies = world.replies.empty() ? nullptr : &world.replies;
    session.set_habits(std::move(habits));
    session.record();
    TlsPlan plan;
    plan.level = world.encrypts ? tls::Level::may : tls::Level::none;
    LoginPlan login;
    if (world.logs_in) {
        login.user = "user";
        login.password = "secret";
    }
    auto failure = co_await session.open(world.tls.get(), std::move(plan), *world.sasl, std::move(login));
    if (failure)
        check_status(*failure);
    const ipc::DeliveryRequest request = request_of(world);
    const NamedAttribute attributes[] = {{"log_client_address", "192.0.2.9"}, {"log_client_name", "c.test"}};
    for (int i = 0; i < 2 && !failure && (i == 0 || session.may_take_another()); ++i) {
        OutgoingEnvelope envelope(request);
        envelope.attributes = attributes;
        envelope.recipients = {0, 1};
        FixedText text;
        const TransactionResult result = co_await session.transact(envelope, text);
        check(result.statuses.size() == envelope.recipients.size());
        check(!result.stale || i > 0);
        bool sent = false;
        for (const DeliveryStatus& status : result.statuses) {
            check_status(status);
            sent = sent || status.outcome == DeliveryOutcome::sent;
        }
        if (sent && !world.probes)
            ++talk->texts_sent;
    }
    // Unless the server has said it itself.
    const std::string transcript = session.transcript();
    std::string said;
    for (const std::string_view piece : talk->pieces)
        said += piece;
    check(transcript.find("secret") == transcript.npos || printable(said, true).find("secret") != said.npos);
    co_await session.quit();
    ::shutdown(talk->held.get(), SHUT_WR);
    talk->one_less();
}

// Up to the first byte of TLS.
void check_heard(const Talk& talk)
{
    std::string_view heard = talk.heard;
    const auto tls = heard.find("STARTTLS\r\n");
    heard = heard.substr(0, tls);
    std::size_t ends = 0;
    for (std::size_t i = 0; i < heard.size(); ++i) {
        if (heard[i] == '\n')
            check(i > 0 && heard[i - 1] == '\r');
        if (heard[i] == '\r')
            check(i + 1 == heard.size() || heard[i + 1] == '\n');
        ends += heard.substr(i).starts_with("\r\n.\r\n") ? 1U : 0U;
    }
    if (tls == heard.npos)
        check(ends >= talk.texts_sent);
    if (talk.world.probes)
        check(heard.find("Subject") == heard.npos);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const int quiet = [] {
        log::Target target;
        target.kind = log::Target::Kind::file;
        target.path = "/dev/null";
        log::open(target, "fuzz", "localhost");
        return 0;
    }();
    if (size == 0)
        return quiet;
    Talk talk{world_of(data[0]), {}, {}, {}, {}, {}};
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    while (!rest.empty() && talk.pieces.size() < 200) {
        const std::size_t length =
            std::min<std::size_t>(static_cast<unsigned char>(rest.front()), rest.size() - 1);
        talk.pieces.push_back(rest.substr(1, length));
        rest.remove_prefix(1 + length);
    }
    int pair[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    talk.ours = UniqueFd(pair[0]);
    talk.theirs = UniqueFd(pair[1]);
    talk.held = UniqueFd(::dup(pair[0]));
    {
        Scope scope;
        scope.spawn(play_client, &talk);
        scope.spawn(play_server, &talk);
        if (talk.running > 0)
            Loop::current().run();
    }
    check_heard(talk);
    return 0;
}
