// SPDX-License-Identifier: Apache-2.0
// Fetches a URL with Java's HttpClient: `Fetch AUTHORITY.pem URL`.
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class Fetch {
	static SSLContext trusting(String path) throws Exception {
		KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
		TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
		SSLContext context = SSLContext.getInstance("TLS");
		store.load(null, null);
		try (FileInputStream in = new FileInputStream(path)) {
			store.setCertificateEntry("authority",
					CertificateFactory.getInstance("X.509").generateCertificate(in));
		}
		trust.init(store);
		context.init(null, trust.getTrustManagers(), null);
		return context;
	}

	public static void main(String[] arguments) throws Exception {
		HttpClient client = HttpClient.newBuilder().sslContext(trusting(arguments[0])).build();
		HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[1])).build();
		System.out.print(client.send(request, BodyHandlers.ofString()).body());
	}
}
