--TEST--
sse_mercure_matches() compares a selector with a topic, and names of Mercure's topics are checked
--INI--
sse.namespace=mercure
sse.udp=
sse.idle_exit=5
--FILE--
<?php
function attempt(callable $call): void
{
    try {
        var_dump($call());
    } catch (Throwable $error) {
        echo $error::class, ': ', $error->getMessage(), "\n";
    }
}
attempt(fn () => sse_mercure_matches('*', 'anything'));
attempt(fn () => sse_mercure_matches('https://example.com/books/{id}', 'https://example.com/books/1'));
attempt(fn () => sse_mercure_matches(topic: 'https://example.com/books/1/2', selector: 'https://example.com/books/{id}'));
attempt(fn () => sse_mercure_matches(7, '7'));
attempt(fn () => sse_mercure_matches('/books/:id', '/books/1', 'urlpattern'));
attempt(fn () => sse_mercure_matches('/books/{id}', '/books/1', 'exact'));
attempt(fn () => sse_mercure_matches('/books/(a)', '/books/1', kind: 'urlpattern'));
attempt(fn () => sse_mercure_matches('a', 'a', 'regexp'));
attempt(fn () => sse_mercure_matches('', 'a'));
attempt(fn () => sse_mercure_matches('a', ''));
attempt(fn () => sse_mercure_matches(str_repeat('a', 1025), 'a'));
attempt(fn () => sse_mercure_matches(str_repeat('{a}', 17), 'a'));
attempt(fn () => sse_mercure_matches([], 'a'));
attempt(fn () => sse_mercure_matches("\xff", 'a'));
attempt(fn () => sse_stream('$mercure.match.a', fn () => 1));
attempt(fn () => sse_stream('$mercure.match.a.b'));
attempt(fn () => sse_stream('a', options: ['last_event_id_header' => 1]));
attempt(fn () => sse_publish(['$mercure.public.a', '$mercure.private.a'], 'x'));
attempt(fn () => sse_publish('$mercure.match.a', 'x'));
attempt(fn () => sse_publish('$mercure.public.a', 'x', retain: true));
?>
--EXPECT--
bool(true)
bool(true)
bool(false)
bool(true)
bool(true)
bool(false)
SseInvalidArgument: the URL pattern '/books/(a)' is not taken: only named groups (':id') and the wildcard '*' are taken: '(' has to be escaped by '\', or left out
SseInvalidArgument: sse_mercure_matches(): $kind must be 'exact', 'urlpattern' or null, 'regexp' given
SseInvalidArgument: a topic or selector of Mercure must not be empty
SseInvalidArgument: a topic or selector of Mercure must not be empty
SseInvalidArgument: a topic or selector of Mercure has 1025 bytes; at most 1024 are allowed
SseInvalidArgument: a URI template has more than 16 variables, which is the limit
TypeError: sse_mercure_matches(): Argument #1 ($selector) must be of type string, array given
SseInvalidArgument: sse_mercure_matches(): $selector must be valid UTF-8
SseInvalidArgument: sse_stream(): '$mercure.match.a' is for streams without a $render, which get Mercure's updates as they are
SseInvalidArgument: '$mercure.match.a.b' is no name in Mercure's namespace: it is '$mercure.public.' or '$mercure.private.' and a topic to publish to, '$mercure.match.' or '$mercure.allow.' and a selector to watch, percent-encoded but for A-Z a-z 0-9 - _ ~
SseInvalidArgument: sse_stream(): option 'last_event_id_header' must be a bool, or the name of a header, 1 given
SseInvalidArgument: the topics of an update must all be Mercure's, and all public or all private
SseInvalidArgument: '$mercure.match.a' is no name in Mercure's namespace: it is '$mercure.public.' or '$mercure.private.' and a topic to publish to, '$mercure.match.' or '$mercure.allow.' and a selector to watch, percent-encoded but for A-Z a-z 0-9 - _ ~
SseInvalidArgument: an update of Mercure can be neither a last value (retain) nor the last event of its topics (sse_finish())
