#include "smtp/command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

using namespace std::string_literals;

CommandOptions everything()
{
    CommandOptions options;
    options.auth = true;
    options.smtputf8 = true;
    return options;
}

TEST(SplitCommand, CutsAtTheFirstBlank)
{
    EXPECT_EQ(split_command("MAIL FROM:<a@b> SIZE=1").verb, "MAIL");
    EXPECT_EQ(split_command("MAIL FROM:<a@b> SIZE=1").arguments, "FROM:<a@b> SIZE=1");
    EXPECT_EQ(split_command("  quit\r").verb, "quit");
    EXPECT_EQ(split_command("").verb, "");
    EXPECT_TRUE(split_command("quit").is("QUIT"));
}

TEST(ParseMail, ReadsAllParameters)
{
    const auto mail = parse_mail(
        "FROM:<a@b> SIZE=123 BODY=8BITMIME RET=HDRS ENVID=x+2By AUTH=j+3Doe SMTPUTF8", everything());
    ASSERT_TRUE(mail);
    EXPECT_EQ(mail->sender.address, "a@b");
    EXPECT_EQ(mail->size, 123u);
    EXPECT_EQ(mail->body, BodyType::eight_bit_mime);
    EXPECT_EQ(mail->ret, Ret::headers);
    EXPECT_EQ(mail->envid, "x+y");
    EXPECT_EQ(mail->auth, "j=oe");
    EXPECT_TRUE(mail->smtputf8);
}

TEST(ParseMail, ToleratesWhatClientsWrite)
{
    for (const std::string text : {"FROM:<a@b>", "from:<a@b>", "FROM: <a@b>", "FROM:a@b", "FROM: a@b",
                                   "FROM : <a@b>", "FROM:<a@b> body=7bit", "FROM:<a@b>   size=5  "}) {
        const auto mail = parse_mail(text, {});
        ASSERT_TRUE(mail) << text;
        EXPECT_EQ(mail->sender.address, "a@b");
    }
    EXPECT_TRUE(parse_mail("FROM:<>", {})->sender.is_null());
}

struct Refused {
    std::string text;
    std::string reply;
};

TEST(ParseMail, RefusesTheRest)
{
    const std::vector<Refused> rows = {
        {"", "501 5.5.4 Syntax: MAIL FROM:<address>"},
        {"FROM", "501 5.5.4 Syntax: MAIL FROM:<address>"},
        {"TO:<a@b>", "501 5.5.4 Syntax: MAIL FROM:<address>"},
        {"FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>"},
        {"FROM:<a@b", "501 5.1.7 Bad sender address syntax"},
        {"FROM:<a@b>SIZE=1", "501 5.1.7 Bad sender address syntax"},
        {"FROM:<a\0@b>"s, "501 5.1.7 Bad sender address syntax"},
        {"FROM:<a@b> SIZE=x", "501 5.5.4 Bad message size syntax"},
        {"FROM:<a@b> SIZE", "501 5.5.4 Bad message size syntax"},
        {"FROM:<a@b> SIZE=-1", "501 5.5.4 Bad message size syntax"},
        {"FROM:<a@b> SIZE=99999999999999999999", "501 5.5.4 Bad message size syntax"},
        {"FROM:<a@b> SIZE=1 size=2", "501 5.5.4 Error: duplicate parameter: size=2"},
        {"FROM:<a@b> BODY=BINARYMIME", "555 5.5.4 Unsupported option: BODY=BINARYMIME"},
        {"FROM:<a@b> FOO=\x01", "555 5.5.4 Unsupported option: FOO=?"},
        {"FROM:<a@b> NOTIFY=NEVER", "555 5.5.4 Unsupported option: NOTIFY=NEVER"},
        {"FROM:<a@b> AUTH=<>", "555 5.5.4 Unsupported option: AUTH=<>"},
        {"FROM:<a@b> SMTPUTF8", "555 5.5.4 Unsupported option: SMTPUTF8"},
        {"FROM:<a@b> RET=ALL", "501 5.5.4 Bad RET parameter syntax"},
        {"FROM:<a@b> ENVID=", "501 5.5.4 Bad ENVID parameter syntax"},
        {"FROM:<a@b> ENVID=a+00b", "501 5.5.4 Bad ENVID parameter syntax"},
        {"FROM:<a@b> =", "555 5.5.4 Unsupported option: ="},
        {"FROM:<a@b> A B C D E F G H I J K L M N O P Q R S T U", "501 5.5.4 Error: too many parameters"},
    };
    for (const auto& row : rows) {
        const auto mail = parse_mail(row.text, {});
        ASSERT_FALSE(mail) << row.text;
        EXPECT_EQ(mail.error().summary(), row.reply);
    }
}

TEST(ParseMail, NonAsciiNeedsSmtpUtf8)
{
    EXPECT_TRUE(parse_mail("FROM:<\xc3\xa9@b> SMTPUTF8", everything()));
    EXPECT_EQ(parse_mail("FROM:<\xc3\xa9@b>", everything()).error().dsn, "5.6.7");
    EXPECT_EQ(parse_mail("FROM:<\xc3\xa9@b>", {}).error().dsn, "5.1.7");
    EXPECT_FALSE(parse_mail("FROM:<a@b> SMTPUTF8=1", everything()));
}

TEST(ParseMail, ExtensionsThatAreNotOfferedAreUnknown)
{
    CommandOptions plain;
    plain.size = plain.eightbit = plain.dsn = false;
    for (const std::string parameter : {"SIZE=1", "BODY=7BIT", "RET=FULL", "ENVID=x"})
        EXPECT_EQ(parse_mail("FROM:<a@b> " + parameter, plain).error().code, 555) << parameter;
}

TEST(ParseMail, StrictWantsTheRfc)
{
    CommandOptions strict;
    strict.strict = true;
    EXPECT_TRUE(parse_mail("FROM:<a@b>", strict));
    for (const std::string text : {"FROM: <a@b>", "FROM:a@b", "FROM :<a@b>"})
        EXPECT_FALSE(parse_mail(text, strict)) << text;
}

TEST(ParseRcpt, ReadsAllParameters)
{
    const auto rcpt = parse_rcpt("TO:<\"a b\"@c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z", everything());
    ASSERT_TRUE(rcpt);
    EXPECT_EQ(rcpt->recipient.address, "a b@c");
    EXPECT_EQ(rcpt->notify, notify::success | notify::delay);
    EXPECT_EQ(rcpt->orcpt->text(), "rfc822;x+y@z");
}

TEST(ParseRcpt, RefusesTheRest)
{
    const std::vector<Refused> rows = {
        {"", "501 5.5.4 Syntax: RCPT TO:<address>"},
        {"FROM:<a@b>", "501 5.5.4 Syntax: RCPT TO:<address>"},
        {"TO:<>", "501 5.1.3 Bad recipient address syntax"},
        {"TO:", "501 5.5.4 Syntax: RCPT TO:<address>"},
        {"TO:<a@b", "501 5.1.3 Bad recipient address syntax"},
        {"TO:<a@b> SIZE=1", "555 5.5.4 Unsupported option: SIZE=1"},
        {"TO:<a@b> NOTIFY=OFTEN", "501 5.5.4 Error: Bad NOTIFY parameter syntax"},
        {"TO:<a@b> ORCPT=x", "501 5.5.4 Error: Bad ORCPT parameter syntax"},
        {"TO:<a@b> ORCPT=rfc822;a+00b", "501 5.5.4 Error: Bad ORCPT parameter syntax"},
    };
    for (const auto& row : rows) {
        const auto rcpt = parse_rcpt(row.text, {});
        ASSERT_FALSE(rcpt) << row.text;
        EXPECT_EQ(rcpt.error().summary(), row.reply);
    }
}

TEST(ParseHelo, TakesAnyText)
{
    EXPECT_EQ(*parse_helo("EHLO", " client.test "), "client.test");
    EXPECT_EQ(*parse_helo("EHLO", "[127.0.0.1]"), "[127.0.0.1]");
    EXPECT_EQ(*parse_helo("EHLO", "a\x01"), "a?");
    EXPECT_EQ(parse_helo("EHLO", " ").error().summary(), "501 Syntax: EHLO hostname");
}

} // namespace
} // namespace bulkhead
