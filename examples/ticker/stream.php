<?php

// ?symbol=ABC watches one, otherwise all. A name from the URL is checked, as it could be a pattern.
$symbol = $_GET['symbol'] ?? '*';
if ($symbol !== '*' && !preg_match('/^[A-Z]{1,5}$/', $symbol)) {
    http_response_code(400);
    exit;
}
sse_stream("ticker.$symbol");
