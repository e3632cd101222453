// Any bytes from a client of the SMTP server, in any pieces: the session ends, what it says are reply
// lines of printable text, and each message that cleanup gets is one that it was told "250" for.
//
// An input: a byte that chooses the settings, then pieces, each a byte of length in front.
#include "../unit/smtpd/harness.h"

#include "server_sasl.h"
#include "server_tls.h"

#include "async/wait.h"
#include "base/text.h"
#include "log/log.h"
#include "spool/record.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

using namespace bulkhead;
using namespace bulkhead::smtpd_test;

namespace
{

// What all inputs with the same settings share.
struct World {
    explicit World(const std::string& settings)
        : harness(settings), setup(std::make_unique<Harness::Setup>(harness))
    {
    }
    World(World&&) = delete;
    // The services' sessions end when their clients are gone.
    ~World()
    {
        setup.reset();
        harness.services.finish();
    }

    Harness harness;
    std::unique_ptr<Harness::Setup> setup;
};

std::array<std::unique_ptr<World>, 4>& worlds()
{
    static std::array<std::unique_ptr<World>, 4> all = {
        std::make_unique<World>("smtpd_hard_error_limit = 1000\nmessage_size_limit = 5000\n"),
        std::make_unique<World>(
            "smtpd_sasl_auth_enable = yes\nsmtpd_recipient_limit = 3\nsmtpd_tls_security_level = may\n"),
        std::make_unique<World>(
            "smtpd_forbid_bare_newline = reject\nsmtpd_forbid_bare_newline_exclusions =\n"
            "smtpd_authorized_xclient_hosts = 127.0.0.1\nsmtpd_authorized_xforward_hosts = 127.0.0.1\n"
            "smtpd_reject_footer = \\c; ask $client_name $helo_name $sender $recipient\n"),
        std::make_unique<World>(
            "smtpd_restriction_classes = strict\nstrict = reject_non_fqdn_sender, "
            "reject_invalid_helo_hostname\n"
            "smtpd_helo_required = yes\nsmtpd_delay_reject = no\nsmtpd_recipient_restrictions = "
            "check_sender_access inline:{a@a.test=strict, hold@a.test=HOLD, bcc@a.test={BCC x@a.test}, "
            "pre@a.test={PREPEND X-A: b}, defer@a.test=DEFER_IF_PERMIT}, reject_unauth_destination\n"
            "smtpd_upstream_proxy_hosts = 127.0.0.1\nsmtpd_delay_open_until_valid_rcpt = no\n"),
    };
    return all;
}

struct Talk {
    std::vector<std::string_view> pieces;
    UniqueFd fd;
    std::string heard;
    int running = 2;
    void one_less()
    {
        if (--running == 0)
            Loop::current().stop();
    }
};

Task<> play_client(Talk* talk)
{
    Stream stream(std::move(talk->fd));
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
        const auto more = co_await stream.fill();
        if (!more)
            break;
        talk->heard += stream.buffered();
        stream.consume(stream.buffered().size());
    }
    stream.close();
    talk->one_less();
}

Task<> play_server(UniqueFd fd, SmtpdService* service, Talk* talk)
{
    Stream stream(std::move(fd));
    SmtpSession session(stream, *service);
    co_await session.run();
    stream.close();
    talk->one_less();
}

void check(bool good)
{
    if (!good)
        std::abort();
}

// Up to the first byte of TLS.  How many messages the client believes accepted.
std::size_t check_replies(std::string_view heard)
{
    std::size_t accepted = 0;
    while (!heard.empty()) {
        const auto end = heard.find("\r\n");
        check(end != heard.npos);
        const std::string_view line = heard.substr(0, end);
        heard.remove_prefix(end + 2);
        check(line.size() >= 4 && is_digit(line[0]) && is_digit(line[1]) && is_digit(line[2]));
        check(line[3] == ' ' || line[3] == '-');
        check(line.size() + 2 <= 512 || line.starts_with("334 "));
        check(printable(line, true) == line);
        accepted += line.starts_with("250 2.0.0 Ok: ") && line.find("queued as") != line.npos ? 1U : 0U;
        if (line == "220 2.0.0 Ready to start TLS")
            break;
    }
    return accepted;
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
    World& world = *worlds()[data[0] % 4];
    Talk talk;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    while (!rest.empty() && talk.pieces.size() < 200) {
        const std::size_t length =
            std::min<std::size_t>(static_cast<unsigned char>(rest.front()), rest.size() - 1);
        talk.pieces.push_back(rest.substr(1, length));
        rest.remove_prefix(1 + length);
    }
    int pair[2];
    open_pair(pair, data[0] % 4 >= 2);
    check(set_nonblocking(pair[0]) && set_nonblocking(pair[1]));
    talk.fd = UniqueFd(pair[1]);
    FakeServices& services = world.harness.services;
    services.messages.clear();
    {
        Scope scope;
        scope.spawn(play_server, UniqueFd(pair[0]), &world.setup->service, &talk);
        scope.spawn(play_client, &talk);
        if (talk.running > 0)
            Loop::current().run();
    }
    // Registered behind the first session: the loop and what it needs are still there then.
    static const int at_end = std::atexit([] { worlds() = {}; });
    check(at_end == 0);
    // An accepted message is one that cleanup has.
    const std::size_t accepted = check_replies(talk.heard);
    check(accepted <= services.messages.size());
    for (const std::string& records : services.messages) {
        RecordReader reader(records);
        for (;;) {
            const auto record = reader.next();
            check(static_cast<bool>(record));
            if (!*record)
                break;
        }
    }
    return 0;
}
