<!doctype html>
<title>php-sse</title>
<form action="publish.php" method="post" target="sent"><input name="text" required autofocus><button>Send</button></form>
<iframe name="sent" hidden></iframe>
<ul id="messages"></ul>
<script>
new EventSource('stream.php').onmessage = ({ data }) => {
    const line = document.createElement('li')
    line.textContent = data
    document.getElementById('messages').prepend(line)
}
</script>
