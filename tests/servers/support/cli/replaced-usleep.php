<?php

// A page, whose sleep is PHP's own; then a stream, whose sleep a wake ends. Prints calls that the extension `replace` has seen.
$before = hrtime(true);
usleep(2000);
$slept = hrtime(true) - $before >= 2_000_000 ? 'slept' : 'did not sleep';
$page = replaced_calls();

header('Content-Type: text/event-stream');
ob_start();
$other = new SseSubscription('any.topic', ['timeout' => 30]);
flush();
usleep(1);
SseTrigger::push('any.topic');
$other->next();
$calls = replaced_calls();
usleep(3_600_000_000);
fwrite(STDERR, "$slept, $page seen; woken, " . replaced_calls() - $calls . " seen\n");
