<?php

declare(strict_types=1);

// What the query asks for, done to open streams: the arguments of the function that `do` names.
header('Content-Type: application/json');
$given = array_diff_key($_GET, ['do' => 1]);
foreach (['retry' => 'int', 'spread' => 'int', 'report' => 'bool', 'retain' => 'bool', 'latest' => 'bool'] as $name => $type) {
    if (isset($given[$name])) {
        settype($given[$name], $type);
    }
}
foreach (['add', 'remove'] as $list) {
    if (isset($given[$list])) {
        $given[$list] = explode(',', $given[$list]);
    }
}
$answer = match ($_GET['do']) {
    'disconnect' => sse_disconnect(...$given),
    'retopic' => sse_retopic(...$given),
    'publish' => sse_publish(...$given),
    'finish' => sse_finish(...$given),
    'watchers' => sse_watchers(...$given),
    'streams' => sse_streams(...$given),
};
echo json_encode(['answer' => $answer], JSON_THROW_ON_ERROR);
