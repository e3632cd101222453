#include "down_conversion.h"

#include "base/text.h"

#include <gtest/gtest.h>

using namespace bulkhead;

namespace
{

using Lines = std::vector<std::string>;

Lines lines_of(std::string_view text)
{
    Lines lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    return lines;
}

std::string converted(const std::string& text)
{
    DownConversionPlan plan;
    for (const std::string& line : lines_of(text))
        plan.line(line, true);
    DownConverter converter(plan.finish());
    std::string result;
    const LineSink sink = [&](std::string_view line, bool complete) {
        result += line;
        if (complete)
            result += '\n';
    };
    for (const std::string& line : lines_of(text))
        converter.line(line, true, sink);
    converter.finish(sink);
    return result;
}

struct Case {
    const char* name;
    std::string before;
    std::string after;
};

class DownConversion : public testing::TestWithParam<Case>
{
};

TEST_P(DownConversion, Converts)
{
    EXPECT_EQ(converted(GetParam().before), GetParam().after);
    EXPECT_FALSE(has_8bit(converted(GetParam().before)));
}

const std::string with_version = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n";

INSTANTIATE_TEST_SUITE_P(
    Messages, DownConversion,
    testing::Values(
        Case{"PlainStays", "Subject: x\n\nbody\n", "Subject: x\n\nbody\n"},
        Case{"LabelIsCorrected", with_version + "Content-Transfer-Encoding: 8bit\n\nbody =\n",
             with_version + "Content-Transfer-Encoding: 7bit\n\nbody =\n"},
        Case{"TextBecomesQuotedPrintable",
             with_version + "Content-Transfer-Encoding: 8bit\n\ngr\xc3\xbcn is a colour = x \n.\n",
             with_version +
                 "Content-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn is a colour =3D x=20\n.\n"},
        Case{"UnlabelledTextGetsLabels", "Subject: x\n\na letter: \xe9, and more text\n",
             "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n"
             "Content-Transfer-Encoding: quoted-printable\n\na letter: =E9, and more text\n"},
        Case{"ShortTextStaysReadable", with_version + "Content-Transfer-Encoding: 8bit\n\n\xc3\xbc\n",
             with_version + "Content-Transfer-Encoding: quoted-printable\n\n=C3=BC\n"},
        Case{"TextWithNulBecomesBase64",
             with_version + "Content-Transfer-Encoding: 8bit\n\n" + std::string("\xc3\xbc\0\n", 4),
             with_version + "Content-Transfer-Encoding: base64\n\nw7wADQo=\n"},
        Case{"OtherDataBecomesBase64",
             "MIME-Version: 1.0\nContent-Type: image/x-test\nContent-Transfer-Encoding: "
             "binary\n\n\xc3\xbc\n",
             "MIME-Version: 1.0\nContent-Type: image/x-test\nContent-Transfer-Encoding: "
             "base64\n\nw7wNCg==\n"},
        Case{"OnlyThePartThatNeedsIt",
             "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: "
             "8bit\n\npre\n--b\n\nplain\n--b\n"
             "Content-Transfer-Encoding: 8bit\n\n\xc3\xbc\n--b--\nend\n",
             "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: "
             "7bit\n\npre\n--b\n\nplain\n--b\n"
             "Content-Transfer-Encoding: quoted-printable\n\n=C3=BC\n--b--\nend\n"},
        Case{"AttachedMessage",
             "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: y\n"
             "Content-Transfer-Encoding: 8bit\n\nplenty of words and \xfc\n",
             "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: y\n"
             "Content-Transfer-Encoding: quoted-printable\n\nplenty of words and =FC\n"},
        Case{"SubjectBecomesEncodedWords", "Subject: all gr\xc3\xbcn here\n\nbody\n",
             "Subject: all =?utf-8?B?Z3LDvG4=?= here\n\nbody\n"},
        Case{"InnerPartWithoutEnd",
             "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; "
             "boundary=b\n\n--b\n\nx\n--a\n"
             "Content-Transfer-Encoding: 8bit\n\n\xe4\n--a--\n",
             "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; "
             "boundary=b\n\n--b\n\nx\n--a\n"
             "Content-Transfer-Encoding: quoted-printable\n\n=E4\n--a--\n"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(DownConversionLimits, LongLinesAreCutSoftly)
{
    const std::string after = converted("\n" + std::string(3000, 'x') + "\xe9\n");
    for (const std::string& line : lines_of(after))
        EXPECT_LE(line.size(), 76U);
    EXPECT_NE(after.find("x=\nx"), std::string::npos);
}

} // namespace
