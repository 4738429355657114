<?php

// A stream whose sleep is compiled by opcache's JIT before it is long.
function rest(int $microseconds): void
{
    usleep($microseconds);
}
header('Content-Type: text/event-stream');
for ($i = 0; $i < 300; $i++) {
    rest(10);
}
echo "data: before\n\n";
flush();
rest((int) ($_GET['for'] ?? 0));
echo "data: after\n\n";
flush();
